"""Is this text Python? Yes or no for any text at all."""

import platform
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.curate.filters import FILTERS
from demiurgic.evaluate.suite import SUITES
from demiurgic.verify.python_syntax import grammar, parse, parses, syntax_error
from tiny_rows import a_few


@pytest.mark.parametrize(
    "source", ["", "x = 1", "def f():\n    return 1", "async def f():\n    await g()", "x = '\\d'"]
)
def test_python_parses(source):
    assert parses(source)


@pytest.mark.parametrize(
    "source",
    [
        "def f(:",
        "    x = 1",
        "print 'old'",
        "x = '\0'",
        "x = '\ud800'",
        "(" * 5000,
        "-" * 200_000 + "1",
        "x." * 50_000 + "y",
    ],
    ids=["cut", "indented", "Python 2", "null byte", "half a surrogate pair", "brackets", "minus signs", "dots"],
)
def test_what_the_parser_cannot_read_does_not_parse(source):
    assert not parses(source)


def test_the_error_names_line_and_reason():
    assert syntax_error("x = 1\ny = = 2\n") == "line 2: invalid syntax"


def test_a_source_that_parses_has_no_error():
    assert syntax_error("x = 1") is None


def test_every_failure_to_parse_is_a_syntax_error():
    with pytest.raises(SyntaxError, match="nested too deeply|too many"):
        parse("-" * 200_000 + "1")


@a_few
@given(text=st.text(st.characters()))
def test_any_text_parses_or_does_not(text):
    assert parses(text) is (syntax_error(text) is None)


def test_the_grammar_is_that_of_the_running_python():
    assert platform.python_version().startswith(f"{grammar(Path())}.")


@pytest.mark.parametrize("entry", [FILTERS.get("python_syntax"), SUITES.get("python_completion")], ids=lambda e: e.name)
def test_what_asks_the_grammar_enters_the_key_with_it(entry):
    assert entry.fingerprint is not None
    assert entry.fingerprint(Path(), max_rows=3) == grammar(Path())
