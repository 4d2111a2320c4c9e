"""Turns as ShareGPT writes them, `{"from": "human", "value": "Hi"}`, as messages. Knows no record around them."""

import json
from collections.abc import Mapping
from typing import Any

from demiurgic.collect.fields import Fields, listed, text
from demiurgic.core.records import RowError

ROLES = {
    "system": "system",
    "human": "user", "user": "user",
    "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "model": "assistant",
    "assistant": "assistant",
    "tool": "tool", "observation": "tool", "function_response": "tool",
}  # fmt: skip
CALLS = ("function_call", "tool_call")


def sharegpt_turns(record: Fields, name: str) -> list[dict[str, Any]]:
    """The turns of a field. Raises RowError for what is no list of turns, and for an unknown speaker."""
    messages: list[dict[str, Any]] = []
    for turn in listed(record, name):
        if not isinstance(turn, Mapping):
            raise RowError(f"{name} holds something that is not an object")
        messages.append(_message(turn, called=_last_call(messages), number=len(messages)))
    if not messages:
        raise RowError(f"{name} is empty")
    return messages


def _message(turn: Fields, *, called: str | None, number: int) -> dict[str, Any]:
    speaker = str(turn.get("from", turn.get("role"))).lower()
    content = text(turn, "value" if "value" in turn else "content")
    if speaker in CALLS:
        return {"role": "assistant", "content": "", "tool_calls": _calls(content, number=number)}
    if speaker not in ROLES:
        raise RowError(f"unknown speaker {speaker}")
    message: dict[str, Any] = {"role": ROLES[speaker], "content": content}
    if isinstance(turn.get("weight"), int | float):
        message["weight"] = turn["weight"]
    if message["role"] == "tool" and called is not None:
        message["tool_call_id"] = called
    return message


def _calls(content: str, *, number: int) -> list[dict[str, Any]]:
    """A call written as JSON, or a list of them; each gets an id, which the form has none for."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise RowError("tool call is not JSON") from None
    calls = found if isinstance(found, list) else [found]
    if not calls or not all(isinstance(call, dict) for call in calls):
        raise RowError("tool call is not an object")
    return [{**call, "id": f"call_{number}_{place}"} for place, call in enumerate(calls)]


def _last_call(messages: list[dict[str, Any]]) -> str | None:
    """The id of the call that a tool's message answers: of several at once, the next that has no answer yet."""
    for answers, message in enumerate(reversed(messages)):
        if message["role"] != "tool":
            calls = message.get("tool_calls", ())
            return str(calls[min(answers, len(calls) - 1)]["id"]) if calls else None
    return None
