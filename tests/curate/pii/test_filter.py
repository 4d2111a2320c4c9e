"""The filter `pii`: what becomes of rows that hold something, in every text of a row."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row, ToolCall, from_batch, to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, KEEP, Drop
from demiurgic.curate.judge import Account, judge
from real_data import needs_real_data, pairs
from tiny_rows import any_row, chat

MAIL, KEY = "ann.lee@gmail.com", "ghp_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
FULL = Row(
    "full",
    messages=(
        Message("user", f"Mail {MAIL}", weight=0.5),
        Message("assistant", "Sure", (ToolCall("1", "mail", json.dumps({"to": MAIL})),), reasoning=f"{MAIL}?"),
        Message("tool", f"sent\0 to {MAIL}", tool_call_id="1"),
        Message("assistant", f"The key is {KEY}."),
    ),
    tools=json.dumps([{"name": "mail", "description": f"Not to {MAIL}"}]),
    rejected=(Message("assistant", f"No: {MAIL} 你好"),),
    scores={"quality": 0.5},
)
CLEAN = chat("Hi", "Hello there")


def pii(rows, **options):
    return FILTERS.choose({"use": "pii", **options})(RowBatch(to_batch(rows)))


def changed(found, rows):
    return list(from_batch(found.rows)) if found.rows is not None else list(rows)


def test_every_text_of_a_row_is_masked_and_all_else_stays():
    found = pii([CLEAN, FULL, replace(CLEAN, id="text", messages=(), text=f"To {MAIL}")])
    clean, full, text = changed(found, [])
    assert clean == CLEAN
    surrogate = text.text.removeprefix("To ")
    assert surrogate.endswith("@example.com")
    assert MAIL not in repr(full)
    assert KEY not in repr(full)
    assert json.loads(full.messages[1].tool_calls[0].arguments) == {"to": surrogate}
    assert full.messages[1].reasoning == f"{surrogate}?"
    assert full.messages[2].content == f"sent\0 to {surrogate}"
    assert json.loads(full.tools)[0]["description"] == f"Not to {surrogate}"
    assert full.rejected[0].content == f"No: {surrogate} 你好"
    assert (full.messages[0].weight, full.scores, full.messages[2].tool_call_id) == (0.5, {"quality": 0.5}, "1")


def test_what_was_found_is_counted_by_kind():
    found = pii([CLEAN, FULL])
    assert found.counts == {"github": 1, "email": 6, "rows": 1}
    assert found.labels["pii"].to_pylist() == [None, "github, email"]
    assert [found.verdict(row) for row in (0, 1)] == [KEEP, KEEP]


def test_a_dropped_row_says_what_and_where_but_never_the_value():
    found = pii([CLEAN, FULL], action="drop")
    assert found.verdict(0) == KEEP
    verdict = found.verdict(1)
    assert verdict.reason == "holds github"
    by_kind = dict(said.split(" in ", 1) for said in verdict.evidence.split("; "))
    assert by_kind["github"] == "message 4"
    places = [
        "message 1",
        "message 3",
        "reasoning of message 2",
        "rejected message 1",
        "tool call in message 2",
        "tools",
    ]
    assert sorted(by_kind["email"].split(", ")) == places
    assert found.rows is None
    told = repr((found.reasons, found.evidence, found.counts, found.labels["pii"].to_pylist()))
    assert MAIL not in told
    assert KEY not in told


def test_a_row_can_be_dropped_with_its_text_masked():
    found = pii([FULL], action="drop_masked")
    assert found.verdict(0).reason == "holds github"
    assert MAIL not in repr(changed(found, []))


def test_kinds_have_actions_of_their_own_and_go_before_their_group():
    row = chat(MAIL, f"{KEY} 81.2.69.142")
    found = pii([row], action="ignore", actions={"secrets": "drop", "personal": "tag", "email": "mask"})
    assert found.verdict(0) == Drop("holds github", "github in message 2")
    masked = changed(found, [])[0]
    assert masked.messages[0].content.endswith("@example.com")
    assert masked.messages[1] == row.messages[1]
    assert found.counts == {"github": 1, "email": 1, "ipv4": 1, "rows": 1}


def test_what_a_pattern_allows_as_a_whole_stays():
    row = chat("team@acme.io", "ann@acme.io.ru")
    found = pii([row], allow=[r".*@acme\.io"])
    team, ann = changed(found, [])[0].messages
    assert team.content == "team@acme.io"
    assert ann.content.endswith("@example.com")


def test_a_kind_that_is_none_is_refused_with_the_nearest_name():
    with pytest.raises((UserError, ValueError), match='Did you mean "email"'):
        FILTERS.choose({"use": "pii", "actions": {"emial": "drop"}})


def test_masked_rows_get_the_hash_of_what_they_say_now():
    judged = judge(RowBatch(to_batch([CLEAN, FULL])), filters=[FILTERS.choose("pii")], account=Account())
    for row, written in zip(from_batch(judged.rows), judged.rows.column("content_hash").to_pylist(), strict=True):
        assert row.content_hash == written
    assert next(iter(from_batch(judged.rows))).messages == CLEAN.messages


def test_a_slice_of_a_batch_is_masked_as_a_batch_of_its_own():
    whole = to_batch([CLEAN, FULL, replace(FULL, id="other"), CLEAN])
    part = FILTERS.choose("pii")(RowBatch(whole.slice(1, 2)))
    own = pii([FULL, replace(FULL, id="other")])
    assert part.rows.to_pylist() == own.rows.to_pylist()
    part.rows.validate(full=True)


def test_a_row_of_ten_megabytes_passes():
    long = chat("a" * 5_000_000 + f" {MAIL} " + "b " * 2_500_000, "\0")
    assert MAIL not in changed(pii([long]), [])[0].messages[0].content


@settings(max_examples=20, deadline=None)
@given(any_row)
def test_a_row_without_anything_is_untouched(row):
    found = pii([row, FULL])
    if "pii" in found.labels and found.labels["pii"][0].as_py() is None:
        assert found.rows.slice(0, 1).to_pylist() == to_batch([row]).to_pylist()
    again = FILTERS.choose("pii")(RowBatch(found.rows))
    assert again.rows is None
    assert again.counts == {}


@needs_real_data
def test_hardly_a_row_of_real_code_and_prose_is_flagged():
    real = [chat(asks, answers) for asks, answers in pairs("codealpaca", limit=5000)]
    found = pii(real, action="tag")
    assert len(found.labels["pii"]) - found.labels["pii"].null_count < 0.01 * len(real)
