"""What texts look like: lines, brackets, numbers, signs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.text.measures import form_of
from demiurgic.text.utf8 import Texts
from tiny_rows import a_few

CODE = "def f(x):\n    if x:\n        return g('a')\n    return [x, {1: (2)}]\n"


def form(text: str):
    found = form_of(Texts.of([text]))
    return lambda name: int(found[name][0])


@a_few
@given(st.text())
def test_characters_digits_and_lines_are_those_of_plain_python(text):
    found = form(text)
    assert found("characters") == len(text)
    assert found("digits") == sum("0" <= letter <= "9" for letter in text)
    assert found("spaces") == sum(letter <= " " for letter in text)
    assert found("lines") == sum(any(letter > " " for letter in line) for line in text.split("\n"))


@a_few
@given(st.lists(st.text(), min_size=1, max_size=6))
def test_a_text_counts_the_same_alone_and_among_others(texts):
    alone = [form_of(Texts.of([text])).facts_NF for text in texts]
    np.testing.assert_array_equal(form_of(Texts.of(texts)).facts_NF, np.concatenate(alone))


def test_code_has_lines_depth_and_calls():
    found = form(CODE)
    assert (found("code_lines"), found("indented_lines"), found("deepest_indent")) == (3, 3, 8)
    assert (found("deepest_bracket"), found("open_brackets"), found("wrong_brackets")) == (3, 0, 0)
    assert (found("calls"), found("quoted_calls")) == (2, 1)


def test_brackets_left_open_and_closed_too_often_are_counted():
    assert form("f(a, [b")("open_brackets") == 2
    assert form("a] }")("wrong_brackets") == 2
    assert form("1) first :)")("wrong_brackets") == 0


def test_steps_lists_and_repeated_lines_are_counted():
    found = form("1. one thing to do\n2) one more to do\n- a point of it\n• another\n- a point of it\n")
    assert (found("numbered_lines"), found("list_lines"), found("repeated_lines")) == (2, 3, 1)


def test_reckoning_is_seen_behind_numbers():
    assert form("3 * 4 = 12, (1 + 2) / 3")("operators") == 4
    assert form("a * b = well-known")("operators") == 0


@pytest.mark.parametrize("text", ["(A) one (B) two", "A) one\nB) two", "Answer1: one Answer2: two"])
def test_marks_of_choices_are_counted(text):
    assert form(text)("options") == 2


@pytest.mark.parametrize(
    ("text", "ending"), [("", 0), ("It broke", 0), ("It is.", 1), ("x = f(1)", 1), ("for example:", 2), ("a, b, ", 2)]
)
def test_how_a_text_ends_is_told(text, ending):
    assert form(text)("ending") == ending
