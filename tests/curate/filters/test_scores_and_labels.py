"""The filters quality, domain, difficulty and tokens: what they write into rows, and when they drop one."""

import pytest
from pydantic_core import PydanticCustomError

from demiurgic.core.artifacts import Tokenizer
from demiurgic.core.errors import UserError
from demiurgic.core.records import Row, from_batch
from demiurgic.curate.filters import FILTERS
from demiurgic.curate.filters.difficulty import difficulty
from demiurgic.curate.filters.domain import domain
from demiurgic.curate.filters.quality import quality
from demiurgic.curate.filters.tokens import tokens
from demiurgic.models.tokenizer import load_tokenizer
from row_batches import batch, reasons, talks
from tiny_models import tiny_words
from tiny_rows import chat

GOOD = (
    "The heart pumps blood through two loops. The first loop takes blood to the lungs, where it takes up "
    "oxygen. The second "
    "loop carries the oxygen to the rest of the body, and valves keep the blood from flowing back."
)
CHINESE = "心脏通过两个循环输送血液。第一个循环把血液送到肺部,在那里吸收氧气。第二个循环把氧气送到身体的其他部位。"
ROWS = talks(("How does the heart work?", GOOD), ("How?", CHINESE), ("How?", "It is. " * 90), ("How?", "No."))


def test_quality_names_the_part_that_is_too_low():
    verdicts = quality(ROWS, min=0.5)
    assert reasons(verdicts) == [None, "language too low", "coherence too low", "too low in all"] or reasons(verdicts)[
        :3
    ] == [
        None,
        "language too low",
        "coherence too low",
    ]
    assert "wanted at least 0.1" in verdicts.evidence[1]


def test_quality_writes_every_part_as_a_score():
    scores = quality(ROWS).scores
    assert sorted(scores) == [
        *("quality", "quality.coherence", "quality.complexity", "quality.language", "quality.length")
    ]
    assert all(len(score) == 4 for score in scores.values())


def test_quality_of_another_language_and_other_weights_are_options():
    assert reasons(quality(ROWS, language="zh"))[:2] == ["language too low", None]
    chosen = FILTERS.choose({"use": "quality", "weights": {"length": 1}, "min_language": 0, "min": 0.9})
    assert chosen(ROWS).scores["quality"][0] == pytest.approx(
        (0.3 * chosen(ROWS).scores["quality.language"][0] + 0.3 * chosen(ROWS).scores["quality.coherence"][0]
         + chosen(ROWS).scores["quality.length"][0] + 0.2 * chosen(ROWS).scores["quality.complexity"][0]) / 1.8
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"language": "xx"},
        {"min": 2},
        {"weights": {"length": -1}},
        {"weights": {"len": 1}},
        {"weights": dict.fromkeys(("language", "coherence", "length", "complexity"), 0)},
    ],
)
def test_quality_refuses_what_makes_no_sense(options):
    with pytest.raises(PydanticCustomError, match="quality"):
        FILTERS.choose({"use": "quality", **options})


SUM = "Ann has 3 apples and buys 4 more. How many apples does she have?"


def test_domain_labels_rows_and_keeps_what_a_source_says():
    verdicts = domain(batch(chat(SUM, "3 + 4 = 7", id="a"), chat(SUM, "7", id="b", domain="puzzles")))
    assert verdicts.labels["domain"].to_pylist() == ["mathematics", "mathematics"]
    assert verdicts.rows is None
    assert reasons(verdicts) == [None, None]


def test_domain_can_overwrite_and_keep_only_some():
    rows = batch(
        chat(SUM, "3 + 4 = 7", id="a", domain="puzzles"), chat("Write a poem about a dragon.", "Oh dragon", id="b")
    )
    written = domain(rows, overwrite=True, keep=["mathematics"])
    assert [row.domain for row in from_batch(written.rows)] == ["mathematics", "creative"]
    assert reasons(written) == [None, "not a domain to keep"]
    assert written.evidence == {1: "creative"}
    assert reasons(domain(rows, keep=["creative"])) == ["not a domain to keep", None]


def test_domain_says_nothing_where_it_is_not_sure():
    verdicts = domain(talks((SUM, "3 + 4 = 7"), ("x", "y")), min_confidence=0.6)
    assert verdicts.labels["domain"].to_pylist() == ["mathematics", None]


def test_difficulty_drops_what_is_too_easy_or_too_hard():
    rows = talks(("Go?", "No."), ("Go?", GOOD), ("Go?", "1. So, therefore 3 + 4 = 7; phosphorylation (((x))).\n" * 90))
    assert reasons(difficulty(rows)) == [None] * 3
    assert reasons(difficulty(rows, min=0.1, max=0.8)) == ["too easy", None, "too hard"]


def test_tokens_are_estimated_without_a_tokenizer():
    verdicts = tokens(talks(("Hi", "no"), ("Hi", "some words " * 200), ("Hi", "some words " * 4_000)))
    assert reasons(verdicts) == ["too few tokens", None, "too many tokens"]
    assert verdicts.evidence[0] == "about 3, wanted at least 150"
    assert verdicts.scores["tokens"][1] == 402


def test_tokens_have_no_upper_bound_when_null():
    assert reasons(tokens(talks(("Hi", "some words " * 4_000)), max=None)) == [None]


def test_bounds_that_leave_nothing_are_refused():
    with pytest.raises(UserError, match="min 10 is above max 5"):
        tokens(batch(Row("a", text="x")), min=10, max=5)
    with pytest.raises(UserError, match=r"min 0.5 is above max 0.2"):
        difficulty(batch(Row("a", text="x")), min=0.5, max=0.2)


def test_tokens_are_counted_exactly_with_a_tokenizer(tmp_path):
    words = Tokenizer.open(tiny_words(tmp_path / "words"))
    rows = talks(("Hi", "ab ab ab"), ("Hi", ""), ("Hi", "<|im_end|>"))
    verdicts = tokens(rows, min=1, max=4, tokenizer=words)
    loaded = load_tokenizer(words.path)
    wanted = [
        len(loaded(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        for text in rows.whole.to_pylist()
    ]
    assert verdicts.scores["tokens"].tolist() == wanted
    assert [reason is not None for reason in reasons(verdicts)] == [number > 4 for number in wanted]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"use": "boilerplate", "min_share": 7}, {"use": "boilerplate", "min_phrases": 0}),
        *({"use": "offensive", "max_share": 2}, {"use": "offensive", "max_mentions": -1}),
        *({"use": "refusals", "max_words_besides": -1}, {"use": "min_words", "words": -1}),
        {"use": "length", "min_characters": -1},
    ],
)
def test_a_bound_out_of_its_range_is_refused_when_the_recipe_is_read(wrong):
    with pytest.raises(PydanticCustomError, match="Input should be"):
        FILTERS.choose(wrong)


def test_length_bounds_that_cross_are_refused():
    with pytest.raises(UserError, match="min_answer_characters 5 is above max_answer_characters 4"):
        FILTERS.choose({"use": "length", "min_answer_characters": 5, "max_answer_characters": 4})(ROWS)
