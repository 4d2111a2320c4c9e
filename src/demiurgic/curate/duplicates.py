"""Finds rows that say what an earlier row said. Exact: near-duplicates are another matter."""

import hashlib
from typing import Any

from demiurgic.core.hashing import canonical
from demiurgic.core.records import Message, Row


def said(row: Row) -> str:
    """32 hex digits of what a row asks and answers.

    Coarser than `content_hash`: loss weights, reasoning and the ids of tool calls, which differ between copies of one
    conversation, do not count.
    """
    content: list[Any] = [row.text, row.tools, _spoken(row.messages), _spoken(row.rejected)]
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:32]


def _spoken(messages: tuple[Message, ...]) -> list[Any]:
    return [[m.role, m.content, [[call.name, call.arguments] for call in m.tool_calls]] for m in messages]


class Seen:
    """Remembers, in 16 bytes and an id per row, what was said and who said it first."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}

    def witness(self, row: Row) -> str | None:
        """The id of the earlier row that said the same, or None; then this row is the witness of later ones."""
        key = bytes.fromhex(said(row))
        earlier = self._first.get(key)
        if earlier is None:
            self._first[key] = row.id
        return earlier
