"""Filters over rows, batch by batch: in order, each sees what is left, and what they say of rows stays with them."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from demiurgic.core.records import Message, Row, from_batch, to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, KEEP, KEPT, Drop, Verdicts
from demiurgic.curate.judge import Account, judge, verdicts_of
from tiny_rows import chat

STRICT = [FILTERS.choose("schema"), FILTERS.choose({"use": "min_words", "words": 2})]


@pytest.fixture
def registered():
    """Registers filters for one test."""
    before = dict(FILTERS.entries())
    yield FILTERS.register
    FILTERS._entries.clear()
    FILTERS._entries.update(before)


def judged(rows, *filters):
    """Reasons (None for rows that stay), rows as they are then, and the account."""
    account = Account()
    found = judge(RowBatch(to_batch(rows)), filters=[FILTERS.choose(each) for each in filters], account=account)
    names = {number: why.reason for why, number in account.whys.items()}
    return [names.get(int(reason)) for reason in found.reason_N], list(from_batch(found.rows)), account


def test_the_first_filter_that_drops_a_row_gives_the_reason():
    rows = [chat("Hi", ""), chat("Hi", "one"), chat("Hi", "one two")]
    reasons, _, _ = judged(rows, *STRICT)
    assert reasons == ["schema: empty message", "min_words: too few words", None]


def test_the_evidence_is_of_this_row():
    found = judge(RowBatch(to_batch([chat("Hi", "a b"), chat("Hi", "one")])), filters=STRICT, account=Account())
    assert found.evidence == {1: "1, wanted at least 2"}


def test_a_filter_sees_the_rows_that_no_earlier_one_dropped(registered):
    seen = []

    @registered("watches", over="batch")
    def watches(rows: RowBatch) -> Verdicts:
        """Watch."""
        seen.extend(rows.answer.to_pylist())
        return Verdicts(np.full(len(rows), KEPT, np.int16), counts={"rows": len(rows)})

    _, _, account = judged([chat("Hi", ""), chat("Hi", "one"), chat("Hi", "two")], "schema", "watches")
    assert seen == ["one", "two"]
    assert account.counts == {("watches", "rows"): 2}


def test_a_filter_of_one_row_works_among_the_others(registered):
    @registered("no_bees")
    def no_bees(row: Row, *, word: str = "bee") -> object:
        """Drop bees."""
        return Drop("bees", row.id) if word in row.answer() else KEEP

    rows = [chat("Hi", "", id="a"), chat("Hi", "a bee", id="b"), chat("Hi", "a cow", id="c")]
    reasons, _, _ = judged(rows, "schema", "no_bees")
    assert reasons == ["schema: empty message", "no_bees: bees", None]


def test_a_filter_that_only_tags_keeps_rows_and_says_what_it_would_have_done():
    row = chat("Hi", "one", source="list", meta='{"would_drop": "before", "n": 1}')
    reasons, (tagged,), account = judged([row], {"use": "min_words", "words": 2, "only_tag": True}, "schema")
    assert reasons == [None]
    said = [{"reason": "min_words: too few words", "evidence": "1, wanted at least 2"}]
    assert tagged.facts == {"n": 1, "would_drop": said}
    assert account.tagged == {("list", "min_words: too few words"): 1}


def test_scores_and_labels_go_into_the_row_and_later_filters_read_them(registered):
    @registered("labels", over="batch")
    def labels(rows: RowBatch) -> Verdicts:
        """Label."""
        named = pa.array(["en" if answer == "one" else None for answer in rows.answer.to_pylist()])
        score = np.array([0.5 if answer == "one" else np.nan for answer in rows.answer.to_pylist()])
        reason_N = np.full(len(rows), KEPT, np.int16)
        return Verdicts(reason_N, scores={"quality": score}, labels={"language": named, "domain": named})

    rows = [
        chat("Hi", ""),
        chat("Hi", "one", domain="talk"),
        chat("Hi", "one"),
        chat("Hi", "two", scores={"quality": 1}),
    ]
    reasons, found, _ = judged(rows, "schema", "labels", {"use": "keep_where", "field": "language", "pattern": "en"})
    assert reasons == ["schema: empty message", None, None, "keep_where: no language"]
    assert [row.facts.get("language") for row in found] == [None, "en", "en", None]
    assert [row.domain for row in found] == ["", "talk", "en", ""]
    assert [row.scores for row in found] == [{}, {"quality": 0.5}, {"quality": 0.5}, {"quality": 1.0}]


def test_the_hash_is_made_again_for_changed_rows_alone(registered):
    @registered("shouts", over="batch")
    def shouts(rows: RowBatch) -> Verdicts:
        """Shout."""
        changed = [replace(row, messages=tuple(map(loud, row.messages))) for row in rows.rows]
        batch = to_batch(changed)
        stale = batch.set_column(1, "content_hash", pa.array(["stale"] * len(rows)))
        return Verdicts(np.full(len(rows), KEPT, np.int16), rows=stale)

    def loud(message: Message) -> Message:
        return replace(message, content=message.content.replace("one", "ONE"))

    rows = [chat("Hi", ""), chat("Hi", "one"), chat("Hi", "two")]
    marked = to_batch(rows).set_column(1, "content_hash", pa.array(["a", "b", "c"]))
    found = judge(RowBatch(marked), filters=[FILTERS.choose("schema"), FILTERS.choose("shouts")], account=Account())
    assert [row.answer() for row in from_batch(found.rows)] == ["", "ONE", "two"]
    assert found.rows.column("content_hash").to_pylist() == ["a", chat("Hi", "ONE").content_hash, "c"]


def test_a_filter_that_forgets_a_row_is_found_out(registered):
    @registered("forgets", over="batch")
    def forgets(rows: RowBatch) -> Verdicts:
        """Forget."""
        return Verdicts(np.full(len(rows) - 1, KEPT, np.int16))

    with pytest.raises(AssertionError, match="forgets gave 0 verdicts on 1 rows"):
        verdicts_of(FILTERS.choose("forgets"), RowBatch(to_batch([chat("Hi", "one")])))


def test_a_label_is_written_as_json_writes_it(registered):
    @registered("quotes", over="batch")
    def quotes(rows: RowBatch) -> Verdicts:
        """Quote."""
        return Verdicts(np.full(len(rows), KEPT, np.int16), labels={'a "key"': pa.array(['"\n\\é'] * len(rows))})

    metas = ["{}", '{"n": 1}', ' {"n": 1} ', '{"a \\"key\\"": 2}', '{"half": "\\ud800"}']
    _, found, _ = judged([chat("Hi", "one", meta=meta) for meta in metas], "quotes")
    assert [json.loads(row.meta) for row in found] == [
        {**json.loads(meta), 'a "key"': '"\n\\é'} for meta in metas
    ]  # fmt: skip
