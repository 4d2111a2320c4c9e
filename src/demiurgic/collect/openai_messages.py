"""Messages as OpenAI's interface writes them, old and new, as this package's. Knows no record around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from demiurgic.collect.fields import Fields
from demiurgic.core.records import RowError

KNOWN = {"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "weight", "refusal", "reasoning"} | {
    "reasoning_content", "audio", "annotations",
}  # fmt: skip


@dataclass(frozen=True)
class Talk:
    """Messages in the schema of rows, and what only the record's meta can hold."""

    messages: list[dict[str, Any]]
    meta: Mapping[str, Any] = field(default_factory=dict)


def openai_messages(value: Any) -> Talk:
    """Raises RowError with a short reason for what is no list of such messages."""
    if not isinstance(value, list):
        raise RowError("messages is not a list")
    messages = [_message(item, number=number) for number, item in enumerate(value)]
    _answer_old_calls(messages)
    # A tool's name is its call's; that of a person is nowhere else.
    names = {
        str(n): item["name"]
        for n, item in enumerate(value)
        if item.get("name") and item.get("role") in ("user", "system")
    }
    return Talk(messages, {"names": names} if names else {})


def openai_tools(record: Fields) -> list[Any] | str | None:
    """The tools of a record, or the functions of an older one."""
    functions = record.get("functions")
    if functions and isinstance(functions, list):
        return [{"type": "function", "function": function} for function in functions]
    return record.get("tools") or None


def _message(item: Any, *, number: int) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise RowError("messages holds something that is not an object")
    strange = sorted(set(map(str, item)) - KNOWN)
    if strange:
        raise RowError(f"unknown message field {strange[0]}")
    if item.get("audio"):
        raise RowError("message with audio")
    message: dict[str, Any] = {"role": "tool" if item.get("role") == "function" else item.get("role")}
    message["content"] = _content(item)
    calls = item.get("tool_calls") or []
    if not isinstance(calls, list):
        raise RowError("tool_calls is not a list")
    if item.get("function_call"):
        calls = [*calls, {"id": f"call_{number}", "function": item["function_call"]}]
    given = {"tool_calls": calls, "tool_call_id": item.get("tool_call_id"), "weight": item.get("weight")}
    given["reasoning"] = item.get("reasoning") or item.get("reasoning_content")
    return message | {name: value for name, value in given.items() if value not in (None, [], "")}


def _content(item: Fields) -> str:
    """Text, or parts of text; a message that only calls or refuses has none of its own."""
    content = item.get("content")
    if content is None:
        return str(item.get("refusal") or "")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RowError("message content is not text")
    return "".join(map(_part, content))


def _part(part: Any) -> str:
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, Mapping) else None
    raise RowError(f"message with a part that is no text: {kind}")


def _answer_old_calls(messages: list[dict[str, Any]]) -> None:
    """Give the answer of an old function call the id that its call was given."""
    for before, message in pairwise(messages):
        calls = before.get("tool_calls")
        if message["role"] == "tool" and "tool_call_id" not in message and calls:
            message["tool_call_id"] = calls[-1].get("id") if isinstance(calls[-1], Mapping) else None
