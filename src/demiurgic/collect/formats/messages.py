"""Rows as this package writes them, and every set that writes plain messages of role and content."""

from collections.abc import Mapping
from typing import Any

from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.core.records import MESSAGE_FIELDS, ROW_FIELDS

TEXTS = ("id", "source", "license", "domain", "teacher")
"""Fields that are text in our own rows; sets of others number theirs."""


@FORMATS.register("messages", fields="messages, a list of role and content (this package's own rows)", reads=[])
class Messages:
    """Messages of role and content, in the schema of this package, with all its fields."""

    def detect(self, record: Fields) -> bool:
        messages = record.get("messages")
        if messages is None:
            return "content_hash" in record  # our own row of text
        return (
            record.keys() <= ROW_FIELDS
            and all(isinstance(record.get(name), str | None) for name in TEXTS)
            and isinstance(messages, list)
            and all(isinstance(m, Mapping) and m.keys() <= MESSAGE_FIELDS and _plain(m) for m in messages)
        )

    def row(self, record: Fields) -> dict[str, Any]:
        return dict(record)


def _plain(message: Fields) -> bool:
    content = message.get("content")
    return isinstance(content, str) or (content is None and bool(message.get("tool_calls")))
