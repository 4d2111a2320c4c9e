"""Tasks that ask for code get code, and code that names its language parses."""

import time

import numpy as np
import pytest

from demiurgic.core.records import Message, Row, ToolCall
from demiurgic.curate.filters.code_block import code_block
from demiurgic.curate.filters.code_syntax import code_syntax
from demiurgic.curate.filters.python_syntax import python_syntax
from real_data import needs_real_data, pairs
from row_batches import batch, reasons, talks
from tiny_rows import chat

ASKED = "Write a Python function that adds two numbers."
BLOCK = "Here it is:\n```python\ndef add(a, b):\n    return a + b\n```"


@pytest.mark.parametrize(
    "answer",
    [BLOCK, "def add(a, b):\n    return a + b", "add = lambda a, b: a + b", "Use `operator.add`, which is just that."],
)
def test_an_answer_of_code_stays(answer):
    assert reasons(code_block(talks((ASKED, answer)))) == [None]


@pytest.mark.parametrize(
    "answer", ["A function can add two numbers.", "5", "I would first read both numbers, then add."]
)
def test_an_answer_without_code_goes(answer):
    assert reasons(code_block(talks((ASKED, answer)))) == ["no code where code is asked for"]


@pytest.mark.parametrize(
    "asked",
    [
        "Explain what this Python function does: f(x)",
        "Write a script for a movie scene with two characters.",
        "Describe the function of the heart.",
        "Which class of animals lays eggs?",
        "Write a poem.",
    ],
)
def test_who_does_not_ask_for_code_need_not_get_it(asked):
    assert reasons(code_block(talks((asked, "It is like this, and so on.")))) == [None]


def test_a_fence_can_be_required():
    bare = talks((ASKED, "def add(a, b):\n    return a + b"), (ASKED, BLOCK))
    assert reasons(code_block(bare, fence=True)) == ["no code where code is asked for", None]


def test_an_answer_that_calls_a_tool_stays():
    call = Message("assistant", "", (ToolCall("1", "write_file", '{"text": "x"}'),))
    assert reasons(code_block(batch(Row("a", (Message("user", ASKED), call))))) == [None]


@needs_real_data
def test_hardly_any_row_of_code_is_taken_for_prose():
    rows = talks(*pairs("codealpaca/new_codealpaca.json"))
    assert np.mean(code_block(rows).reason_N >= 0) < 0.005


@pytest.mark.parametrize(
    ("tag", "good", "bad"),
    [
        ("python", "x = 1", "x = = 1"),
        ("js", "let x = [1];", "let x = [1;"),
        ("typescript", "let x: number = 1;", "let x: = 1;"),
        ("go", "x := 1", "x := := 1"),
        ("rust", "let x = 1;", "let = 1;"),
        ("java", "int x = 1;", "int x = ;"),
        ("c++", "int x = 1;", "int x = = 1;"),
    ],
)
def test_a_fenced_block_is_read_in_its_language(tag, good, bad):
    verdicts = code_syntax(talks(("Go.", f"Look:\n```{tag}\n{good}\n```"), ("Go.", f"Look:\n```{tag}\n{bad}\n```")))
    assert reasons(verdicts) == [None, "code does not parse"]
    assert verdicts.evidence[1].startswith("block 1, ")
    assert "line 1, column" in verdicts.evidence[1]


@pytest.mark.parametrize("tag", ["", "haskell", "text", "output"])
def test_blocks_of_no_known_language_pass(tag):
    assert reasons(code_syntax(talks(("Go.", f"```{tag}\nx = = 1\n```")))) == [None]


def test_the_block_that_is_wrong_is_named_and_one_in_a_list_is_read_without_its_indent():
    answer = "1. First:\n   ```python\n   x = 1\n   ```\n2. Then:\n   ```python\n   y = = 1\n   ```"
    assert code_syntax(talks(("Go.", answer))).evidence[0] == "block 2, Python, line 1, column 5: invalid syntax"


def test_an_open_fence_is_read_to_the_end():
    assert reasons(code_syntax(talks(("Go.", "```python\nx = (1,")))) == ["code does not parse"]


@pytest.mark.parametrize("meta", ['{"language": "Go"}', '{"file": "a/b.go"}', '{"programming_language": "golang"}'])
def test_a_text_of_code_is_read_in_the_language_its_meta_names(meta):
    rows = batch(
        Row("a", text="package a\n\nfunc f() {}\n", meta=meta), Row("b", text="package a\n\nfunc {\n", meta=meta)
    )
    assert reasons(code_syntax(rows)) == [None, "code does not parse"]


def test_prose_in_a_row_of_a_language_is_not_read_as_code():
    assert reasons(code_syntax(batch(chat("Go on.", "This is what Go is.", id="a", meta='{"language": "go"}')))) == [
        None
    ]


def test_a_language_of_people_is_no_language_of_code():
    assert reasons(code_syntax(batch(Row("a", text="x = = 1;", meta='{"language": "en"}')))) == [None]


def test_a_row_that_goes_on_is_read_with_what_it_goes_on_from():
    meta = '{"file": "a.py", "prefix": "def f(x):\\n"}'
    row = Row("a", text="    y = [x]\n    return y[0]\n", meta=meta)
    assert reasons(code_syntax(batch(row))) == [None]


@pytest.mark.parametrize("rule", [code_syntax, python_syntax])
@pytest.mark.parametrize(
    "answer",
    [
        "```" + "a" * 100_000,
        "```" + " " * 100_000 + "`",
        "```python\n" * 20_000,
        "```python\n(" + "\n" * 100_000 + "```\n",
    ],
    ids=["a fence of one line", "a fence that is none", "fences that never close", "many empty lines"],
)
def test_no_answer_is_read_slower_than_linear(rule, answer):
    started = time.process_time()
    rule(talks((ASKED, answer)))
    assert time.process_time() - started < 2
