"""What of a text is prose: lines of code, fences, formulas and addresses are left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.text.language.prose import prose_of
from demiurgic.text.utf8 import Texts
from tiny_rows import a_few

PYTHON = """\
import os


class Sum:
    def __init__(self, a):
        self.a = a

    def of(self, b):
        return self.a + b
"""
PIECES = (
    "A word. ",
    "x = f(1);\n",
    "```\n",
    "`in`",
    "$x$",
    "\n",
    "é",
    "字",
    "𝄞",
    "  ",
    "def f(x):\n",
    '"""\n',
    "\\(",
    "//",
)
texts_made_of_pieces = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)


def prose(text: str, **options) -> str:
    return prose_of(Texts.of([text]), **options).texts[0].decode().strip()


def letters(text: str) -> tuple[int, int]:
    found = prose_of(Texts.of([text]))
    return int(found.letters_N[0]), int(found.code_letters_N[0])


@a_few
@given(st.lists(st.one_of(st.text(), texts_made_of_pieces), min_size=1, max_size=6))
def test_a_text_gives_the_same_prose_alone_and_among_others(several):
    among = prose_of(Texts.of(several))
    for place, text in enumerate(several):
        alone = prose_of(Texts.of([text]))
        assert alone.texts[0] == among.texts[place]
        assert alone.letters_N[0] == among.letters_N[place]
        assert alone.code_letters_N[0] == among.code_letters_N[place]
        assert alone.starts_N[0] == among.starts_N[place]


@a_few
@given(st.one_of(st.text(), texts_made_of_pieces), st.integers(1, 12))
def test_prose_is_utf8_whose_characters_stand_in_the_text_in_their_order_however_short_it_is_cut(text, longest):
    found = prose_of(Texts.of([text]), longest_bytes=longest).texts[0]
    assert len(found) <= longest
    left = iter(text)
    assert all(character in left for character in found.decode() if character != " ")


@a_few
@given(st.text(st.characters(categories=["Ll", "Lu", "Lo"])))
def test_letters_of_prose_are_counted_by_bytes(text):
    ascii_letters = sum(character.isascii() for character in text)
    beyond = sum(len(character.encode()) for character in text if not character.isascii())
    assert sum(letters(text)) == ascii_letters + beyond // 3


def test_what_stands_in_fences_is_code_even_where_the_fence_is_never_closed():
    assert prose("Look:\n```python\nthese are words\n```\nIt works.") == "Look: It works."
    assert prose("Look:\n~~~\nthese are words") == "Look:"
    assert letters("```\nabc\n```") == (0, 3)


@pytest.mark.parametrize("skipped", ["`os.path`", "``a ` b``", "$x^2$", "$$a + b$$", r"\(x\)", r"\[x^2\]"])
def test_inline_code_and_formulas_are_left_out(skipped):
    assert prose(f"We call {skipped} twice.").split() == ["We", "call", "twice."]


def test_amounts_of_money_and_lone_signs_are_no_formulas():
    text = "It costs $5 here and $7 there, or a ` mark."
    assert prose(text) == text


def test_addresses_are_left_out():
    assert prose("See https://example.org/a/b?c=d for more.").split() == ["See", "https", "for", "more."]


@pytest.mark.parametrize(
    "line",
    [
        "import numpy as np",
        "from flask import Flask, request",
        "for i in range(10):",
        "print('Hello, how are you today?')",
        "SELECT name FROM customers WHERE age > 20",
        "const total = values.map(value => value * 2)",
        "public static void main(String[] args) {",
        "#include <stdio.h>",
        "<p>This is a paragraph.</p>",
        "// adds all of the numbers in this list",
        "self.name = name",
        "x = foo(bar)",
        "}",
    ],
)
def test_lines_of_code_are_no_prose(line):
    assert (prose(line), letters(line)[0]) == ("", 0)


@pytest.mark.parametrize(
    "line",
    [
        "For each of them, print the name and return it.",
        "Let me import this from the class (if you want).",
        "- a point of a list: one, two and three",
        "Janet has 16 - 3 - 4 = 9 eggs left; she sells them for $2 each.",
        'He said, "I will not go", and left.',
        "return to the house while it is still light",
        "你好吗?",
        "Что это такое?",
        "Write a function add(a, b) that returns the sum of two numbers.",
    ],
)
def test_lines_of_prose_are_kept_whole(line):
    assert prose(line) == line


def test_a_class_is_all_code_and_a_docstring_is_neither():
    assert letters(PYTHON)[0] == 0
    assert letters('def f():\n    """Give the sum of all.\n\n    Of two numbers.\n    """\n    return a + b\n') == (
        0,
        12,
    )


def test_comments_of_many_lines_are_code():
    assert prose("/*\n * This adds two numbers,\n * and gives the sum.\n */\nThat is all.") == "That is all."


def test_whether_prose_comes_first_is_told():
    found = prose_of(Texts.of(["Add two numbers.\nx = a(b) + c;", "x = a(b) + c;\nAdd two numbers.", ""]))
    assert found.starts_N.tolist() == [True, False, False]
