"""Statistics of rows: what they count, that they add up, and how each rule changed the rows."""

import json
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.collect.collect import STAGE as COLLECT
from demiurgic.core.artifacts import Manifest
from demiurgic.core.records import to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.curate import STAGE as CURATE
from demiurgic.curate.statistics import Statistics, Tally
from demiurgic.curate.statistics.distinct import REGISTERS, Distinct
from demiurgic.curate.statistics.histogram import Histogram
from demiurgic.curate.statistics.labels import label_of
from demiurgic.curate.statistics.words import SLOTS, WordCounts
from demiurgic.run.context import Context
from demiurgic.run.step import run_stage
from demiurgic.text.tokens import estimated_tokens
from demiurgic.text.utf8 import Texts
from real_data import needs_real_data, pairs
from tiny_rows import a_few, any_row, chat

WORDS = re.compile(r"[^\W_]+")


def batch(rows):
    return RowBatch(to_batch(rows))


def of(*texts):
    return Statistics.of(batch([chat("", text, id=str(n)) for n, text in enumerate(texts)]))


def facts(statistics):
    return json.dumps(statistics.to_json(), sort_keys=True)


def test_words_and_n_grams_are_counted_within_a_row_only():
    found = of("one two three", "Two  three!")
    assert found.words.num_words == 5
    assert found.ngrams == (5, 3, 1)
    assert [round(each.count) for each in found.distinct] == [3, 2, 1]


def test_entropy_is_that_of_the_words():
    assert of("a a b b").words.entropy_bits == pytest.approx(1.0)
    assert of("same same same").words.entropy_bits == 0
    assert of("a b c d", "e f g h").words.entropy_bits == pytest.approx(3.0)


def test_nothing_has_no_entropy_no_share_and_no_length():
    said = Statistics.nothing().to_json()
    assert (said["rows"], said["entropy_bits"], said["distinct"]["1"]["share"], said["tokens"]["p50"]) == (
        0,
        None,
        None,
        None,
    )


def test_rows_are_counted_by_domain_language_and_licence():
    rows = [
        chat("Hi", "yes", id="a", domain="code", license="MIT", meta='{"language": "en"}'),
        chat("Hi", "yes", id="b", domain="code", meta='{"deep": {"language": "de"}}'),
    ]
    found = Statistics.of(batch(rows))
    assert found.domains == {"code": 2}
    assert found.languages == {"en": 1, "unnamed": 1}
    assert found.licenses == {"MIT": 1, "unnamed": 1}


@a_few
@given(st.lists(any_row, max_size=6), st.integers(0, 6))
def test_the_statistics_of_two_sets_add_up_to_those_of_both(rows, cut):
    whole = Statistics.of(batch(rows))
    assert facts(Statistics.of(batch(rows[:cut])) + Statistics.of(batch(rows[cut:]))) == facts(whole)
    assert facts(Statistics.nothing() + whole) == facts(whole)


@a_few
@given(st.lists(st.tuples(any_row, st.integers(0, 2)), max_size=6))
def test_rows_measured_in_groups_are_measured_as_alone(rows):
    group_N = np.array([group for _, group in rows], np.int64)
    found = Statistics.of_groups(batch([row for row, _ in rows]), group_N, num_groups=3)
    for group, statistics in enumerate(found):
        assert facts(statistics) == facts(Statistics.of(batch([row for row, own in rows if own == group])))


def test_what_rows_were_like_after_each_rule_is_the_sum_over_later_fates():
    tally = Tally()
    rows = [chat("Hi", "word " * n, id=str(n), source="s" if n % 2 else "t") for n in range(1, 9)]
    fates = ["train", "length", "quality", "held_out"]
    tally.add(batch(rows), fates, np.array([0, 1, 2, 3] * 2))
    states = tally.states(rules=["schema", "length", "quality"], parts=["train", "held_out"])
    assert [(name, state.num_rows) for name, state in states] == [("as they came", 8), ("length", 6), ("quality", 4)]
    said = tally.to_json(rules=["schema", "length", "quality"], parts=["train", "held_out"])
    assert said["sources"]["s"]["fates"] == {"quality": 2, "train": 2}
    assert said["parts"]["train"]["rows"] == 2
    assert said["states"][0]["rows"] == sum(each["as they came"]["rows"] for each in said["sources"].values())


def test_two_tallies_add_up_to_one():
    rows = [chat("Hi", f"word {n}", id=str(n), source="s") for n in range(6)]
    parts, whole = [Tally(), Tally()], Tally()
    for part, some in zip(parts, (rows[:2], rows[2:]), strict=True):
        part.add(batch(some), ["train"], np.zeros(len(some), np.int64))
    whole.add(batch(rows), ["train"], np.zeros(6, np.int64))
    say = [each.to_json(rules=[], parts=["train"]) for each in (parts[0] + parts[1], whole)]
    assert say[0] == say[1]


def test_a_fate_that_is_neither_a_rule_nor_a_part_is_a_mistake_of_ours():
    tally = Tally()
    tally.add(batch([chat("Hi", "yes")]), ["elsewhere"], np.zeros(1, np.int64))
    with pytest.raises(AssertionError, match="elsewhere"):
        tally.states(rules=["length"], parts=["train"])


@a_few
@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=50))
def test_a_quantile_is_off_by_half_a_bucket_at_most(lengths):
    found = Histogram.of(np.array(lengths, np.int64))
    exact = sorted(lengths)[math.ceil(0.5 * len(lengths)) - 1]
    assert found.quantile(0.5) == pytest.approx(exact, rel=0.046)
    assert (found.n, found.total, found.mean) == (len(lengths), sum(lengths), pytest.approx(np.mean(lengths)))


@pytest.mark.parametrize("number", [0, 1, 10, 1000, 100_000])
def test_the_number_of_distinct_things_is_within_four_standard_errors(number):
    hashes = np.random.default_rng(5).integers(0, 2**64, number, np.uint64, endpoint=False)
    registers = np.zeros(REGISTERS, np.uint8)
    places, rest = (hashes >> np.uint64(52)).astype(int), hashes | np.uint64(1 << 52)
    ranks = np.log2((rest & (~rest + np.uint64(1))).astype(float)).astype(int) + 1
    np.maximum.at(registers, places, ranks.astype(np.uint8))
    assert Distinct(registers).count == pytest.approx(number, rel=4 * 1.04 / 64)


def test_the_vocabulary_grows_as_draws_from_the_words_would_have_it():
    random = np.random.default_rng(3)
    words = np.minimum(random.zipf(1.3, 200_000), 20_000)
    slots = random.permutation(SLOTS)[words]
    found = WordCounts(np.bincount(slots, minlength=SLOTS))
    for n, distinct in found.growth():
        drawn = [len(set(random.choice(words, n, replace=False).tolist())) for _ in range(5)]
        if n < len(words):
            assert distinct == pytest.approx(np.mean(drawn), rel=0.06)


def test_a_table_that_is_too_full_says_nothing_of_the_number_of_words():
    assert WordCounts(np.ones(SLOTS, np.int64)).distinct_among(SLOTS) is None


@a_few
@given(
    st.dictionaries(st.text(), st.text() | st.integers() | st.none() | st.lists(st.text()), max_size=4), st.booleans()
)
def test_a_key_of_meta_is_read_as_json_reads_it(meta, ascii_only):
    import pyarrow as pa

    written = pa.array([json.dumps(meta, ensure_ascii=ascii_only), "{}"])
    for key, value in meta.items():
        if json.dumps(key, ensure_ascii=ascii_only) == json.dumps(key, ensure_ascii=False):
            said = value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            assert label_of(written, key).to_pylist() == [said, None]
    assert label_of(written, "a key that is not there").to_pylist() == [None, None]


@needs_real_data
def test_on_real_rows_entropy_and_distinct_n_are_near_those_counted_plainly():
    rows = [chat(prompt, answer, id=str(n)) for n, (prompt, answer) in enumerate(pairs("codealpaca", limit=3000))]
    found = Statistics.of(batch(rows))
    said = [WORDS.findall("\n".join(m.content for m in row.messages).lower().replace("_", "x")) for row in rows]
    counts = Counter(word for words in said for word in words)
    num = counts.total()
    entropy = -sum(count / num * math.log2(count / num) for count in counts.values())
    assert found.words.num_words == pytest.approx(num, rel=0.002)
    assert entropy - 0.1 < found.words.entropy_bits <= entropy + 0.01
    for n in (1, 2, 3):
        grams = [tuple(words[at : at + n]) for words in said for at in range(len(words) - n + 1)]
        assert found.distinct_share(n) == pytest.approx(len(set(grams)) / len(grams), rel=0.05)


pieces = st.sampled_from(
    ["a", "Z", "7", " ", "\n", ".", "!", "_", "\x00", "é", "你", "😀", "words", "1234567", "  ", "....", "aB"]
)


@a_few
@given(st.lists(st.lists(pieces, max_size=150).map("".join), max_size=6), st.sampled_from([0, 1, 63, 64, 65]))
def test_lengths_in_tokens_are_those_of_the_estimate_to_the_last_one(texts, before):
    from demiurgic.curate.statistics.lengths import estimate_tokens

    # What stands before a text in the same buffer, and how long it is, plays no part.
    found = Texts.of(["x" * before, *texts, "a" * before])
    tokens_N = np.zeros(len(found), np.int64)
    estimate_tokens(found.bytes_B, found.offsets_N1, tokens_N)
    assert tokens_N.tolist() == estimated_tokens(found).tolist()


def test_a_curation_leaves_statistics_that_agree_with_its_account(tmp_path):
    rows = [chat(f"Is {n} here?", "yes " * (n % 7), id=str(n), source="s" if n % 2 else "t") for n in range(60)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    source = {"use": "files", "paths": ["a.jsonl"]}
    raw = run_stage(COLLECT, {"source": source}, tmp_path / "raw", context=Context(base=tmp_path))
    filters = ["schema", {"use": "min_words", "words": 3}]
    out = run_stage(CURATE, {"data": str(raw), "filters": filters, "split": {"held_out": 0.3}}, tmp_path / "out")
    said = json.loads((out / "statistics.json").read_text())
    numbers = {name: metric.value for name, metric in Manifest.read(out).summary.metrics.items()}
    assert said["states"][0]["rows"] == numbers["rows_in"] == 60
    assert said["states"][-1]["rows"] == numbers["rows_in"] - numbers["dropped"]
    assert {part: each["rows"] for part, each in said["parts"].items()} == {
        part: numbers[part] for part in ("train", "validation", "held_out")
    }
    assert said["rules"][:2] == ["schema", "min_words"]
    assert [state["after"] for state in said["states"]] == ["as they came", "schema", "min_words"]
    assert f"{said['states'][-1]['rows']} rows kept of 60" in (out / "CARD.md").read_text()
