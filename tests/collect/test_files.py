"""The source `files`: our own rows or named columns, from every format, with a way out when neither fits."""

import datetime
import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.core.errors import UserError
from demiurgic.core.records import Row, RowWriter
from tiny_rows import chat

HELLO = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
ASKED = {"instruction": "Double it.", "input": "2", "output": "4", "system": "Be brief.", "level": 3}


def read(base, **options):
    return list(SOURCES.choose({"use": "files", **options})(base))


def write_lines(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_rows_of_our_schema_come_in_with_file_and_line_as_id(tmp_path):
    write_lines(tmp_path / "a.jsonl", HELLO, {"text": "Once."})
    first, second = read(tmp_path, paths=["a.jsonl"], license="CC0-1.0", domain="talk")
    assert first == chat("Hi", "Hello", id="a.jsonl:1", source="a.jsonl", license="CC0-1.0", domain="talk")
    assert (second.id, second.text) == ("a.jsonl:2", "Once.")


def test_a_row_keeps_its_own_licence_and_domain(tmp_path):
    write_lines(tmp_path / "a.jsonl", {**HELLO, "license": "MIT", "domain": "code"})
    (row,) = read(tmp_path, paths=["a.jsonl"], license="CC0-1.0", domain="talk")
    assert (row.license, row.domain) == ("MIT", "code")


def test_rows_that_were_written_by_this_package_come_back_the_same(tmp_path):
    row = chat("Hi", "Hello", id="talk:7", source="talk", license="MIT", scores={"taste": 0.5}, meta='{"n": 1}')
    with RowWriter(tmp_path / "rows") as writer:
        writer.write(row)
    assert read(tmp_path, paths=["rows/*.parquet"]) == [row]


def test_columns_say_which_hold_what(tmp_path):
    write_lines(tmp_path / "a.jsonl", ASKED)
    columns = {"prompt": ["instruction", "input"], "answer": "output", "system": "system", "keep": ["level"]}
    (row,) = read(tmp_path, paths=["a.jsonl"], columns=columns)
    said = [(message.role, message.content) for message in row.messages]
    assert said == [("system", "Be brief."), ("user", "Double it.\n\n2"), ("assistant", "4")]
    assert row.facts == {"level": 3}


def test_an_empty_part_of_a_prompt_leaves_no_gap_and_an_empty_system_message_none(tmp_path):
    write_lines(tmp_path / "a.jsonl", {**ASKED, "input": "", "system": None})
    columns = {"prompt": ["instruction", "input"], "answer": "output", "system": "system"}
    (row,) = read(tmp_path, paths=["a.jsonl"], columns=columns)
    assert [message.content for message in row.messages] == ["Double it.", "4"]


def test_a_column_of_text_makes_rows_of_text(tmp_path):
    (tmp_path / "a.csv").write_text("title,body\nOne,Once upon a time.\n")
    (row,) = read(tmp_path, paths=["a.csv"], columns={"text": "body", "keep": ["title"]})
    assert (row.text, row.facts) == ("Once upon a time.", {"title": "One"})


def test_a_bad_row_says_where_and_why_and_good_rows_go_on(tmp_path):
    (tmp_path / "a.jsonl").write_text(f'{json.dumps(HELLO)}\n{{"messages": 5}}\n{{\n{json.dumps(HELLO)}\n')
    first, second, third, fourth = read(tmp_path, paths=["a.jsonl"])
    assert isinstance(first, Row) and isinstance(fourth, Row)
    assert second == BadRow("a.jsonl", 2, "messages is not a list", '{"messages": 5}')
    assert (third.position, third.reason) == (3, "not JSON: Expecting property name enclosed in double quotes")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({**ASKED, "output": 4}, "column output is not text"),
        ({"instruction": "Hi"}, "no column output"),
        (5, "not an object"),
    ],
)
def test_a_row_that_lacks_a_column_says_which(tmp_path, line, reason):
    write_lines(tmp_path / "a.jsonl", ASKED, line)
    _, bad = read(tmp_path, paths=["a.jsonl"], columns={"prompt": "instruction", "answer": "output"})
    assert (bad.position, bad.reason) == (2, reason)


def test_a_kept_column_that_json_cannot_hold_is_a_bad_row(tmp_path):
    dates = [datetime.date(2026, 1, 1), None]
    parquet.write_table(pa.table({"body": ["One", "Two"], "day": dates}), tmp_path / "a.parquet")
    bad, good = read(tmp_path, paths=["a.parquet"], columns={"text": "body", "keep": ["day"]})
    assert (bad.reason, good.text) == ("meta is not JSON", "Two")


def test_a_file_whose_columns_nobody_named_is_answered_with_what_to_write(tmp_path):
    write_lines(tmp_path / "a.jsonl", ASKED)
    wanted = r"Its columns are instruction, input, output.*columns: \{prompt: instruction, answer: output\}"
    with pytest.raises(UserError, match=wanted):
        read(tmp_path, paths=["a.jsonl"])


def test_a_file_without_the_named_columns_is_answered_with_those_it_has(tmp_path):
    (tmp_path / "a.csv").write_text("title,body\nOne,Once.\n")
    with pytest.raises(UserError, match="no column words. Its columns are title, body"):
        read(tmp_path, paths=["a.csv"], columns={"text": "words"})


def test_an_empty_file_is_one_paragraph(tmp_path):
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(UserError, match=r"a\.jsonl is empty"):
        read(tmp_path, paths=["a.jsonl"])


@pytest.mark.parametrize(
    "columns", [{}, {"prompt": "a"}, {"prompt": "a", "answer": "b", "text": "c"}, {"answer": "b", "text": "c"}]
)
def test_columns_that_make_no_row_are_refused_when_the_recipe_is_read(columns):
    with pytest.raises(ValueError, match="wants prompt and answer"):
        SOURCES.choose({"use": "files", "paths": ["a.csv"], "columns": columns})
