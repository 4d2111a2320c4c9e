"""Rows: read from JSON with a reason where that fails, and the same after any journey."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from demiurgic.core.records import (
    Message,
    Row,
    RowError,
    RowWriter,
    ToolCall,
    count_rows,
    from_batch,
    read_row,
    read_rows,
    to_batch,
)
from tiny_rows import a_few, any_row, chat

HELLO = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}


def test_a_line_becomes_a_row_with_the_given_id_and_licence():
    row = read_row(HELLO, id="talk:1", source="talk", license="CC0-1.0")
    assert row == chat("Hi", "Hello", source="talk", license="CC0-1.0")


def test_what_a_line_says_of_itself_wins():
    row = read_row({**HELLO, "id": "own", "license": "MIT"}, id="talk:1", license="CC0-1.0")
    assert (row.id, row.license) == ("own", "MIT")


def test_tool_calls_are_read_in_the_nested_form_of_chat_services():
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    line = {"messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}
    assert read_row(line, id="x").messages == (Message("assistant", "", (ToolCall("1", "add", '{"a": 1}'),)),)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ([], "not an object"),
        ({}, "neither messages nor text"),
        ({**HELLO, "text": "Hi"}, "both messages and text"),
        ({**HELLO, "colour": "red"}, "unknown field colour"),
        ({"messages": "Hi"}, "messages is not a list"),
        ({"messages": ["Hi"]}, "messages holds something that is not an object"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "unknown role robot"),
        ({"messages": [{"role": "user", "content": 5}]}, "message content is not text"),
        ({"messages": [{"role": "user", "content": "Hi", "mood": "gay"}]}, "unknown message field mood"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "message content holds half a surrogate pair"),
        (
            {"messages": [{"role": "user", "content": "Hi", "weight": -1}]},
            "message weight is not a number of 0 or more",
        ),
        (
            {"messages": [{"role": "user", "content": "Hi", "weight": True}]},
            "message weight is not a number of 0 or more",
        ),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}]}, "tool call without a name"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": 5}]}, "tool_calls is not a list"),
        (
            {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": "\ud800"}]}]},
            "tool call holds half a surrogate pair",
        ),
        ({"text": 5}, "text is not text"),
        ({"text": "Hi", "id": 5}, "id is not text"),
        ({"text": "Hi", "tools": "{"}, "tools is not JSON"),
        ({"text": "Hi", "tools": ["\ud800"]}, "tools holds half a surrogate pair"),
        ({"text": "Hi", "meta": {"when": object()}}, "meta is not JSON"),
        ({"text": "Hi", "meta": [1]}, "meta is not an object"),
        ({"text": "Hi", "meta": "[1]"}, "meta is not an object"),
        ({"text": "Hi", "scores": {"taste": "good"}}, "scores are not numbers by name"),
        ({"text": "Hi", "scores": 5}, "scores are not numbers by name"),
    ],
)
def test_a_line_that_is_no_row_says_why(line, reason):
    with pytest.raises(RowError, match=f"^{reason}$"):
        read_row(line, id="x")


def test_equal_content_has_an_equal_hash_whoever_said_it_where():
    here, there = chat("Hi", "Hello", id="a", source="x"), chat("Hi", "Hello", id="b", license="MIT", meta='{"n": 1}')
    assert here.content_hash == there.content_hash


def test_another_answer_has_another_hash():
    assert chat("Hi", "Hello").content_hash != chat("Hi", "Hello!").content_hash


def test_the_answer_of_a_row_is_the_last_thing_the_assistant_says():
    row = chat("Hi", "Hello")
    assert replace(row, messages=(*row.messages, Message("user", "Bye"))).answer() == "Hello"


@a_few
@given(row=any_row)
def test_a_row_is_the_same_after_a_journey_through_arrow(row: Row):
    assert list(from_batch(to_batch([row]))) == [row]


@a_few
@given(row=any_row)
def test_a_row_is_the_same_after_a_journey_through_json(row: Row):
    read = read_row(json.loads(json.dumps(row.to_json())), id="other")
    assert replace(read, meta="{}", tools=None) == replace(row, meta="{}", tools=None)
    assert read.facts == row.facts
    assert read.content_hash == row.content_hash


def test_rows_come_back_in_order_from_as_many_shards_as_they_fill(tmp_path):
    rows = [chat("Hi", str(number), id=str(number)) for number in range(5)]
    with RowWriter(tmp_path / "rows", rows_per_shard=2) as writer:
        for row in rows:
            writer.write(row)
    assert len(list((tmp_path / "rows").iterdir())) == 3
    assert list(read_rows(tmp_path / "rows", batch_size=2)) == rows
    assert count_rows(tmp_path / "rows") == 5


def test_a_shard_of_long_rows_ends_before_it_is_too_large(tmp_path):
    rows = [Row(str(n), text="x" * 60) for n in range(5)]
    with RowWriter(tmp_path / "rows", characters_per_shard=100) as writer:
        for row in rows:
            writer.write(row)
    assert len(list((tmp_path / "rows").iterdir())) == 3
    assert list(read_rows(tmp_path / "rows")) == rows


def test_a_dataset_without_rows_has_a_shard_that_says_so(tmp_path):
    with RowWriter(tmp_path / "rows"):
        pass
    assert count_rows(tmp_path / "rows") == 0
    assert list(read_rows(tmp_path / "rows")) == []
