"""Plain text, one document a record."""

from typing import Any

from demiurgic.collect.fields import text
from demiurgic.collect.formats import FORMATS, Fields

CONVERSATION = {
    "messages", "conversations", "conversation", "instruction", "prompt", "question", "query", "output", "response",
    "answer", "answers", "completion", "chosen", "rejected", "traj", "content_hash", "code", "solution", "target",
    "label", "summary",
}  # fmt: skip
"""Fields that no plain text has: beside them `text` is a question, or the conversation put together."""
KEPT = ("id", "source", "license", "domain")


@FORMATS.register("text", fields="text, and nothing of a conversation", reads=[])
class Text:
    """Text alone (a corpus)."""

    def detect(self, record: Fields) -> bool:
        return isinstance(record.get("text"), str) and not CONVERSATION & record.keys()

    def row(self, record: Fields) -> dict[str, Any]:
        row: dict[str, Any] = {name: record[name] for name in KEPT if isinstance(record.get(name), str)}
        meta = record.get("meta")
        return {"text": text(record, "text"), **row, "meta": meta if isinstance(meta, dict) else {}}
