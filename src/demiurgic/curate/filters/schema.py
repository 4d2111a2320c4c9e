"""Is the conversation one that can be trained on? Looks at its form, never at what is said."""

import json
from collections.abc import Sequence

from demiurgic.core.records import Message, Row
from demiurgic.curate.filters import FILTERS, KEEP, Drop, Verdict

NEXT = {
    "start": ("system", "developer", "user"),
    "system": ("user", "developer"),
    "developer": ("user", "system"),
    "user": ("assistant",),
    "assistant": ("user",),
    "assistant that calls": ("tool",),
    "tool": ("tool", "assistant"),
}
"""Which roles may follow which."""


@FILTERS.register("schema")
def schema(row: Row) -> Verdict:
    """Drop rows whose roles do not take turns, that do not end with the assistant, or that leave a turn empty."""
    if row.text is not None:
        return KEEP if row.text.strip() else Drop("empty text")
    return _turns(row.messages) or _contents(row.messages) or _tools(row) or KEEP


def _turns(messages: Sequence[Message]) -> Drop | None:
    before = "start"
    for position, message in enumerate(messages, start=1):
        if message.role not in NEXT[before]:
            return Drop("roles do not take turns", f"message {position}: {message.role} after {before}")
        before = "assistant that calls" if message.tool_calls else message.role
    if not before.startswith("assistant"):
        return Drop("does not end with the assistant", f"ends with {before}")
    return None


def _contents(messages: Sequence[Message]) -> Drop | None:
    for position, message in enumerate(messages, start=1):
        # A tool may well have nothing to say.
        if message.role != "tool" and not message.content.strip() and not message.tool_calls:
            return Drop("empty message", f"message {position}: {message.role}")
    return None


def _tools(row: Row) -> Drop | None:
    tools = json.loads(row.tools) if row.tools is not None else []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        return Drop("tools are not a list of objects", row.tools[:100] if row.tools else "")
    called: set[str] = set()
    for position, message in enumerate(row.messages, start=1):
        for call in message.tool_calls:
            if not _is_object(call.arguments):
                return Drop("tool call arguments are not a JSON object", f"message {position}: {call.arguments[:100]}")
            called.add(call.id)
        if message.tool_call_id and message.tool_call_id not in called:
            return Drop("tool answers a call that was not made", f"message {position}: {message.tool_call_id}")
    return None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
