"""Of rows that say the same the best stays, and each of the others names it."""

from dataclasses import replace

import numpy as np
import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row
from spilled import decide, gone, reasons
from tiny_rows import chat

ROW = chat("Hi", "Hello", id="a")
COPIES = [ROW, replace(ROW, id="b"), chat("Hi", "Bye", id="other"), replace(ROW, id="c")]


def test_the_first_is_the_witness_of_every_later_one(tmp_path):
    decisions = decide(COPIES, tmp_path)
    assert gone(COPIES, decisions) == {"b": "a", "c": "a"}
    assert set(reasons(COPIES, decisions).values()) == {"duplicate"}
    assert decisions.similarity_N is not None and decisions.similarity_N[[1, 3]].tolist() == [1, 1]
    assert np.isnan(decisions.similarity_N[[0, 2]]).all()


def test_a_row_that_a_filter_dropped_is_no_witness_and_is_not_dropped_again(tmp_path):
    assert gone(COPIES, decide(COPIES, tmp_path, alive=[False, True, True, True])) == {"c": "b"}


def test_none_drops_nothing(tmp_path):
    assert reasons(COPIES, decide(COPIES, tmp_path, exact=False)) == {}


def test_a_row_of_a_better_score_stays(tmp_path):
    rows = [replace(row, scores={"quality": score}) for row, score in zip(COPIES, (0.2, 0.9, 0.1, 0.9), strict=True)]
    rows[3] = replace(rows[3], scores={})
    assert gone(rows, decide(rows, tmp_path, keep=["quality"])) == {"a": "b", "c": "b"}


def test_a_score_that_no_row_has_is_named(tmp_path):
    with pytest.raises(UserError, match='best "helpfulness", and no row has a score of that name'):
        decide(COPIES, tmp_path, keep=["quality"], quality="helpfulness")


def test_a_better_source_or_licence_stays_in_the_order_of_preference(tmp_path):
    rows = [
        replace(ROW, id="a", source="scraped", license="MIT"),
        replace(ROW, id="b", source="trusted", license="proprietary"),
        replace(ROW, id="c", source="trusted", license="MIT"),
    ]
    ranks = {"source_rank": ["trusted"], "license_rank": ["CC0", "MIT"]}
    by_source = decide(rows, tmp_path / "1", keep=["source_rank", "license", "first"], **ranks)
    by_license = decide(rows, tmp_path / "2", keep=["license", "longest"], license_rank=["MIT"])
    assert gone(rows, by_source) == {"a": "c", "b": "c"}
    assert gone(rows, by_license) == {"b": "a", "c": "a"}


def test_ranks_of_which_no_row_has_any_are_named(tmp_path):
    with pytest.raises(UserError, match='no source "trustd"'):
        decide([replace(ROW, source="trusted")], tmp_path, keep=["source_rank"], source_rank=["trustd"])


def test_slices_and_threads_change_nothing(tmp_path):
    rows = [chat("Hi", f"Hello {number % 40}", id=str(number)) for number in range(200)]
    whole = decide(rows, tmp_path / "1")
    sliced = decide(rows, tmp_path / "2", slice_rows=30, threads=3, memory_bytes=0)
    assert np.array_equal(whole.reason_N, sliced.reason_N)
    assert np.array_equal(whole.witness_N, sliced.witness_N)
    assert whole.facts == sliced.facts


def test_no_rows_are_no_trouble(tmp_path):
    assert gone([], decide([], tmp_path)) == {}
    assert gone(COPIES, decide(COPIES, tmp_path, alive=[False] * 4)) == {}


def test_prompts_keep_so_many_answers_the_best_first(tmp_path):
    rows = [chat("Why?", f"Answer {number}", id=f"why{number}", scores={"quality": number / 10}) for number in range(5)]
    rows += [chat("How?", f"Way {number}", id=f"how{number}", scores={"quality": 0.5}) for number in range(2)]
    rows += [Row(f"text{number}", text=f"Nobody asked {number}", scores={"quality": 0.1}) for number in range(4)]
    decisions = decide(rows, tmp_path, answers_per_prompt=2, keep=["quality", "first"])
    assert gone(rows, decisions) == {"why0": "why4", "why1": "why4", "why2": "why4"}
    assert set(reasons(rows, decisions).values()) == {"answers_per_prompt"}
    assert decisions.evidence[0] == "3 answers too many"


def test_a_copy_of_a_row_beyond_the_cap_goes_for_the_same_reason(tmp_path):
    rows = [chat("Why?", f"Answer {number}", id=str(number)) for number in (1, 2)] + [chat("Why?", "Answer 2", id="3")]
    decisions = decide(rows, tmp_path, answers_per_prompt=1)
    assert gone(rows, decisions) == {"2": "1", "3": "1"}
    assert reasons(rows, decisions) == {"2": "answers_per_prompt", "3": "answers_per_prompt"}


def test_a_prompt_is_all_that_was_said_before_the_answer(tmp_path):
    first, second = (Message("user", "Hi"), Message("assistant", "Hello")), Message("user", "And?")
    rows = [Row(f"{n}", (*first, second, Message("assistant", f"So {n}"))) for n in range(2)]
    rows += [Row("short", (second, Message("assistant", "So 3")))]
    assert gone(rows, decide(rows, tmp_path, answers_per_prompt=1)) == {"1": "0"}


def test_a_run_says_which_source_repeats_which_and_how_large_the_clusters_are(tmp_path):
    rows = [chat("Q", f"A {number % 3}", id=f"{number}", source="one" if number < 3 else "two") for number in range(9)]
    facts = decide(rows, tmp_path).facts
    assert facts["between_sources"] == [{"gone": "two", "kept": "one", "rows": 6}]
    assert facts["clusters"]["by_rows"]["3 to 4"] == facts["clusters"]["number"] == 3
    assert facts["clusters"]["largest"][0] == {"kept": "0", "rows": 3}
    assert (facts["compared"], facts["stay"]) == (9, 3)


def test_a_run_says_how_domains_and_difficulty_shift(tmp_path):
    easy = [chat("Q", "easy", id=f"e{number}", domain="talk", scores={"difficulty": 0.1}) for number in range(3)]
    rows = [*easy, chat("Q", "hard", id="h", domain="code", scores={"difficulty": 0.9}), chat("Q", "unscored", id="u")]
    facts = decide(rows, tmp_path).facts
    assert facts["domains"] == {"code": [0.2, 0.333333], "talk": [0.6, 0.333333], "unnamed": [0.2, 0.333333]}
    assert facts["difficulty"] == [0.3, 0.5]
