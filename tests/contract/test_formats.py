"""What holds for every registered format: it reads its examples, knows them from others', and never breaks."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demiurgic.collect.choose_format import choose_format, formats_of
from demiurgic.collect.formats import FORMATS
from demiurgic.core.records import Row, RowError, read_row
from format_examples import FORMAT_EXAMPLES
from plugin_examples import ours
from tiny_rows import a_few, json_values

NAMES = [entry.name for entry in ours(FORMATS)]
EXAMPLES = [(name, record) for name, records in FORMAT_EXAMPLES.items() for record in records]
FIELDS = sorted({field for _, record in EXAMPLES for field in record})
PIECES = [value for _, record in EXAMPLES for value in record.values()]


def test_every_format_has_an_example():
    assert sorted(FORMAT_EXAMPLES) == NAMES, "add the new format to tests/format_examples.py"


@pytest.mark.parametrize(("name", "record"), EXAMPLES)
def test_a_format_reads_its_example(name, record):
    row = read_row(FORMATS.choose(name)().row(record), id="x", source="s")
    assert isinstance(row, Row)
    assert row.messages or row.text
    assert read_row(row.to_json(), id="y") == row


@pytest.mark.parametrize(("name", "record"), EXAMPLES)
def test_no_other_format_takes_the_example_for_its_own(name, record):
    assert formats_of(record) == [name]
    assert choose_format([record], shown="a.json").name == name


@pytest.mark.parametrize(("name", "record"), EXAMPLES)
def test_the_record_itself_is_left_as_it_is(name, record):
    before = repr(record)
    FORMATS.choose(name)().row(record)
    assert repr(record) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_format_says_its_fields_and_has_a_line_for_the_list(name):
    entry = FORMATS.get(name)
    assert entry.line and entry.facts["fields"]
    assert set(entry.facts["reads"]) <= set(NAMES)


@a_few
@given(record=st.dictionaries(st.sampled_from(FIELDS), json_values | st.sampled_from(PIECES), max_size=6))
@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_record_holds_it_is_a_row_or_has_a_reason(name, record):
    format = FORMATS.choose(name)()
    assert format.detect(record) in (True, False)
    try:
        read_row(format.row(record), id="x")
    except RowError as error:
        assert str(error)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each value inside another."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in inner:
        yield (*at, key)
        yield from places(inside, (*at, key))


@pytest.mark.parametrize(("name", "record"), EXAMPLES)
@pytest.mark.parametrize("odd", [None, True, 5, "", "x", [], [5], {}, {"a": 5}, "gone"], ids=repr)
def test_whichever_value_of_an_example_is_another_or_gone_it_is_a_row_or_has_a_reason(name, record, odd):
    for *way, last in places(record):
        damaged: Any = deepcopy(dict(record))
        holder = damaged
        for key in way:
            holder = holder[key]
        if odd == "gone":
            del holder[last]
        else:
            holder[last] = odd
        try:
            read_row(FORMATS.choose(name)().row(damaged), id="x")
        except RowError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("name", "record", "final"),
    [
        ("metamath", {"query": "?", "response": "So 4.\nThe answer is: 4 "}, "4"),
        ("metamath", {"query": "?", "response": "The answer is: 4\nor not"}, None),
        ("gsm8k", {"question": "?", "answer": "So 4.\n#### 4\n"}, "4"),
        ("gsm8k", {"question": "?", "answer": "#### 4"}, "4"),
        ("gsm8k", {"question": "?", "answer": "#### 4\nor not"}, None),
    ],
)
def test_a_final_answer_is_the_last_line_behind_its_mark(name, record, final):
    assert FORMATS.choose(name)().row(record)["meta"].get("final_answer") == final


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("metamath", {"query": "?", "response": "The answer is: 4" * 100_000 + "\nor not"}),
        ("metamath", {"query": "?", "response": "The answer is: 4" + " " * 1_000_000 + "5\nor not"}),
        ("gsm8k", {"question": "?", "answer": "#### 4" + " " * 1_000_000 + "5\nor not"}),
    ],
    ids=["marks", "spaces", "gsm8k"],
)
def test_a_long_answer_that_says_its_mark_over_and_over_is_read_in_no_time(name, record):
    # A search that went back for each mark, or each space, would not end today.
    assert FORMATS.choose(name)().row(record)["meta"] == {}
