"""More steps, words, rare words or depth never make a row easier."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.core.records import Row
from demiurgic.curate.tags.difficulty import SHARES, difficulty_of
from real_data import needs_real_data, pairs
from row_batches import batch, talks
from tiny_rows import a_few

ASKED = "What follows?"


def difficulty(answer, asked=ASKED):
    return float(difficulty_of(talks((asked, answer)))[0])


RISING = {
    "steps": [" ".join(["We know it because of this."] * number) for number in (1, 3, 9, 27)],
    "numbered lines": ["".join(f"{step}. Do it\n" for step in range(number)) for number in (1, 3, 9)],
    "reckoning": ["; ".join(["3 + 4 = 7"] * number) for number in (1, 3, 9)],
    "length": ["word " * number for number in (1, 10, 100, 700)],
    "vocabulary": [
        "plain words",
        "phosphorylation",
        "phosphorylation of glyceraldehyde",
        "electroencephalographic " * 9,
    ],
    "depth": ["x", "f(x)", "f(g(x))", "f(g(h[i{x}]))"],
    "code": ["Do it.", "Do it.\n```\nx = 1\n```", "Do it.\n```\n" + "x = f(1);\n" * 20 + "```"],
}


@pytest.mark.parametrize("kind", RISING)
def test_more_of_one_thing_is_harder(kind):
    found = [difficulty(answer) for answer in RISING[kind]]
    assert all(np.diff(found) > 0), found


@a_few
@given(st.text(), st.text())
def test_an_answer_that_goes_on_is_not_easier(answer, more):
    closed = answer.replace("```", "")
    assert difficulty(f"{closed}\n{more.replace('```', '')}") >= difficulty(closed) - 1e-12


@a_few
@given(st.lists(st.text(), min_size=1, max_size=4))
def test_it_lies_between_0_and_1(texts):
    found = difficulty_of(batch(*(Row(str(number), text=text) for number, text in enumerate(texts))))
    assert ((found >= 0) & (found <= 1)).all()


def test_the_shares_of_the_four_make_one():
    assert sum(SHARES.values()) == pytest.approx(1)
    everything = "1. So, (" * 60 + "phosphorylation therefore 3 + 4 = 7; " * 900 + "{" * 30
    assert difficulty(everything) == pytest.approx(1)


def test_nothing_is_no_effort():
    assert difficulty("", asked="") == 0


@needs_real_data
def test_problems_with_solutions_are_harder_than_bare_answers():
    hard = difficulty_of(talks(*pairs("gsm8k_train/train.jsonl", limit=500)))
    easy = difficulty_of(talks(*pairs("llm_adapters_train/boolq_train.json", limit=500)))
    assert np.mean(hard[:, None] > easy[None, :]) > 0.99
