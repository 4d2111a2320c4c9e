"""Two answers to one prompt, of which one was preferred, as lists of messages or as texts."""

from typing import Any

from demiurgic.collect.fields import asked, text
from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.collect.openai_messages import openai_messages


@FORMATS.register("preference", fields="chosen and rejected, lists of messages, or texts that answer prompt", reads=[])
class Preference:
    """Chosen and rejected answers as messages, or as texts beside a prompt (UltraFeedback, DPO sets)."""

    def detect(self, record: Fields) -> bool:
        ends = (record.get("chosen"), record.get("rejected"))
        if all(isinstance(end, list) for end in ends):
            return True
        return isinstance(record.get("prompt"), str) and all(isinstance(end, str) for end in ends)

    def row(self, record: Fields) -> dict[str, Any]:
        return {"messages": _end(record, "chosen"), "rejected": _end(record, "rejected")}


def _end(record: Fields, name: str) -> list[dict[str, Any]]:
    if isinstance(record.get(name), list):
        return openai_messages(record[name]).messages
    return asked(text(record, "prompt"), text(record, name))
