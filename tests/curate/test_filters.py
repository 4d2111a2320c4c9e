"""What each filter keeps, what it drops, and with which reason."""

import json

import pytest
from pydantic_core import PydanticCustomError

from demiurgic.core.records import Message, Row, ToolCall
from demiurgic.curate.filters import FILTERS, KEEP, Drop
from plugin_examples import verdicts
from tiny_rows import chat

ASK, SAY = Message("user", "Hi"), Message("assistant", "Hello")
CALL = Message("assistant", "", (ToolCall("1", "add", "{}"),))


def verdict(name, row, **options):
    (found,) = verdicts(FILTERS.choose({"use": name, **options}), [row])
    return found


def talk(*messages, **fields):
    return Row("talk:1", tuple(messages), **fields)


@pytest.mark.parametrize(
    "messages",
    [
        [ASK, SAY],
        [Message("system", "Be brief."), ASK, SAY],
        [Message("system", "Be brief."), Message("developer", "Be kind."), ASK, SAY, ASK, SAY],
        [ASK, CALL, Message("tool", "", tool_call_id="1"), SAY],
        [ASK, CALL, Message("tool", "3"), Message("tool", "4"), CALL],
    ],
)
def test_schema_keeps_conversations_that_take_turns(messages):
    assert verdict("schema", talk(*messages)) == KEEP


@pytest.mark.parametrize(
    ("messages", "reason", "evidence"),
    [
        ([SAY], "roles do not take turns", "message 1: assistant after start"),
        ([ASK, ASK, SAY], "roles do not take turns", "message 2: user after user"),
        ([ASK, SAY, Message("system", "Hm"), SAY], "roles do not take turns", "message 3: system after assistant"),
        ([ASK, CALL, SAY], "roles do not take turns", "message 3: assistant after assistant that calls"),
        ([ASK, SAY, Message("tool", "3")], "roles do not take turns", "message 3: tool after assistant"),
        ([ASK], "does not end with the assistant", "ends with user"),
        ([ASK, Message("assistant", " \n")], "empty message", "message 2: assistant"),
        ([Message("user", ""), SAY], "empty message", "message 1: user"),
        (
            [ASK, Message("assistant", "", (ToolCall("1", "add", "[1"),))],
            "tool call arguments are not a JSON object",
            "message 2: [1",
        ),
        (
            [ASK, CALL, Message("tool", "3", tool_call_id="2"), SAY],
            "tool answers a call that was not made",
            "message 3: 2",
        ),
    ],
)
def test_schema_drops_what_cannot_be_trained_on(messages, reason, evidence):
    assert verdict("schema", talk(*messages)) == Drop(reason, evidence)


def test_schema_drops_tools_that_are_not_a_list_of_objects():
    assert verdict("schema", talk(ASK, SAY, tools='["add"]')) == Drop("tools are not a list of objects", '["add"]')


def test_schema_keeps_a_text_and_drops_an_empty_one():
    assert verdict("schema", Row("a", text="Once.")) == KEEP
    assert verdict("schema", Row("a", text=" ")) == Drop("empty text")


@pytest.mark.parametrize(
    ("row", "lacking"),
    [
        (talk(ASK, SAY, tools="[]"), "tools"),
        (talk(ASK, CALL, Message("tool", "3", tool_call_id="1"), SAY), "a tool call"),
        (talk(ASK, Message("assistant", "Hello", reasoning="Be polite.")), "reasoning"),
    ],
)
def test_fits_dialect_drops_what_the_chat_format_has_no_form_for(row, lacking):
    assert verdict("fits_dialect", row, dialect="chatml") == Drop(f"chatml has no form for {lacking}")


def test_fits_dialect_keeps_plain_conversations_and_texts():
    assert verdict("fits_dialect", talk(Message("system", "Be brief."), ASK, SAY)) == KEEP
    assert verdict("fits_dialect", Row("a", text="Once.", tools="[]")) == KEEP


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"min_answer_characters": 5}, None),
        ({"min_answer_characters": 6}, "answer too short"),
        ({"max_answer_characters": 5}, None),
        ({"max_answer_characters": 4}, "answer too long"),
        ({"min_characters": 7}, None),
        ({"min_characters": 8}, "too short"),
        ({"max_characters": 7}, None),
        ({"max_characters": 6}, "too long"),
    ],
)
def test_length_bounds_answer_and_whole(options, reason):
    found = verdict("length", chat("Hi", "Hello"), **options)
    assert (found.reason if isinstance(found, Drop) else None) == reason


def test_length_counts_the_text_of_a_row_without_messages():
    assert verdict("length", Row("a", text="Once"), max_characters=3).evidence == "4 characters, wanted at most 3"


@pytest.mark.parametrize(
    ("answer", "words"), [("one two-three", 3), ("", 0), ("你好吗", 3), ("東京 is big", 4), ("カ ab カ", 3)]
)
def test_min_words_counts_words_and_where_there_are_none_characters(answer, words):
    assert verdict("min_words", chat("Hi", answer), words=words) == KEEP
    assert verdict("min_words", chat("Hi", answer), words=words + 1) == Drop(
        "too few words", f"{words}, wanted at least {words + 1}"
    )


def completing(prefix, answer):
    return chat("Complete this.", answer, meta=json.dumps({"kind": "complete", "prefix": prefix}))


def test_python_syntax_reads_an_answer_with_its_prefix():
    assert verdict("python_syntax", completing("def f():\n", "    return 1")) == KEEP
    found = verdict("python_syntax", completing("def f():\n", "    return ("))
    assert found == Drop("prefix and answer do not parse", "line 2: '(' was never closed")


@pytest.mark.parametrize(
    ("answer", "evidence"),
    [
        ("So:\n```python\nx = 1\n```\nThen\n```py\nx = \n```", "block 2, line 1: invalid syntax"),
        ("1. So:\n   ```Python3\n   x = 1\n   ```", None),
        ("```js\nlet x = ;\n```", None),
        ("```\nx = = 1\n```", None),
        ("x = = 1", None),
    ],
)
def test_python_syntax_reads_fenced_python_and_passes_all_else(answer, evidence):
    found = verdict("python_syntax", chat("How?", answer))
    assert (found.evidence if isinstance(found, Drop) else None) == evidence


def test_python_syntax_reads_python_files_and_no_others():
    old = "print 'hi'\n"
    python, perl = (Row(file, text=old, meta=json.dumps({"file": file, "kind": "file"})) for file in ("a.py", "a.pl"))
    assert verdict("python_syntax", python).reason == "file does not parse"
    assert verdict("python_syntax", perl) == KEEP


@pytest.mark.parametrize(
    ("field", "pattern", "kept"),
    [
        ("source", "stdlib|mine", True),
        ("source", "std", False),
        ("license", "(?i)mit", True),
        ("kind", "write|complete", True),
        ("line", "1[0-9]", True),
        ("line", "1", False),
    ],
)
def test_where_matches_the_whole_of_a_field_or_a_key_of_meta(field, pattern, kept):
    row = chat("Hi", "Hello", source="stdlib", license="MIT", meta=json.dumps({"kind": "write", "line": 12}))
    assert (verdict("keep_where", row, field=field, pattern=pattern) == KEEP) is kept
    assert (verdict("drop_where", row, field=field, pattern=pattern) == KEEP) is not kept


def test_where_says_what_it_found():
    row = chat("Hi", "Hello", source="stdlib")
    assert verdict("keep_where", row, field="source", pattern="mine") == Drop("source is not one to keep", "stdlib")
    assert verdict("drop_where", row, field="source", pattern="s.*") == Drop("source is one to drop", "stdlib")


@pytest.mark.parametrize("field", ["license", "kind"])
def test_a_row_that_says_nothing_is_neither_kept_nor_dropped_by_name(field):
    row = chat("Hi", "Hello")
    assert verdict("keep_where", row, field=field, pattern=".*") == Drop(f"no {field}")
    assert verdict("drop_where", row, field=field, pattern=".*") == KEEP


@pytest.mark.parametrize("name", ["keep_where", "drop_where"])
@pytest.mark.parametrize("pattern", ["(mine", "a{99999999999999999999}", "(" * 5000])
def test_a_pattern_that_is_none_is_refused_when_the_recipe_is_read(name, pattern):
    with pytest.raises(PydanticCustomError, match="no regular expression"):
        FILTERS.choose({"use": name, "field": "source", "pattern": pattern})
