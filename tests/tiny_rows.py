"""Rows made tiny, and a strategy for any row there can be."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from demiurgic.core.records import ROLES, Message, Row, ToolCall


def chat(prompt: str, answer: str, *, id: str = "talk:1", **fields: Any) -> Row:
    return Row(id, (Message("user", prompt), Message("assistant", answer)), **fields)


def with_meta(row_id: str, answer: str = "yes", **meta: Any) -> Row:
    return chat(f"Is {row_id} here?", answer, id=row_id, source="list", meta=json.dumps(meta))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=3)
tool_calls = st.builds(ToolCall, id=st.text(max_size=5), name=st.text(max_size=5), arguments=st.text())
messages = st.builds(
    Message,
    role=st.sampled_from(ROLES),
    content=st.text(),
    tool_calls=st.lists(tool_calls, max_size=2).map(tuple),
    tool_call_id=st.none() | st.text(),
    reasoning=st.none() | st.text(),
    weight=st.none() | st.floats(0, 1e5),
)
conversations = st.lists(messages, min_size=1, max_size=3).map(tuple)
fields = {
    "id": st.text(min_size=1),
    "tools": st.none() | json_values.filter(lambda value: value is not None).map(json.dumps),
    "rejected": st.lists(messages, max_size=2).map(tuple),
    "source": st.text(),
    "license": st.text(),
    "domain": st.text(),
    "teacher": st.text(),
    "scores": st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    "meta": json_objects.map(lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True)),
}
any_row = st.builds(Row, messages=conversations, **fields) | st.builds(Row, text=st.text(), **fields)

a_few = settings(max_examples=40, deadline=None)
"""Enough examples for a property that every commit tests; no deadline, for machines are busy."""
