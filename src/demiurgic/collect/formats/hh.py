"""Anthropic-HH: two ends of one conversation, of which a person chose one."""

import re
from typing import Any

from demiurgic.collect.fields import text
from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.core.records import RowError

TURN = re.compile(r"\n\n(Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}


@FORMATS.register("hh", fields=r"chosen and rejected, texts of \n\nHuman: and \n\nAssistant: turns", reads=[])
class HH:
    """Chosen and rejected conversations in one text each; `rejected` holds all turns of the other (Anthropic-HH)."""

    def detect(self, record: Fields) -> bool:
        ends = (record.get("chosen"), record.get("rejected"))
        return all(isinstance(end, str) and TURN.match(end) for end in ends)

    def row(self, record: Fields) -> dict[str, Any]:
        return {
            "messages": _turns(text(record, "chosen"), "chosen"),
            "rejected": _turns(text(record, "rejected"), "rejected"),
        }


def _turns(talk: str, name: str) -> list[dict[str, Any]]:
    before, *parts = TURN.split(talk)
    if before.strip() or not parts:
        raise RowError(f"{name} does not begin with a turn")
    return [
        {"role": ROLES[speaker], "content": said.strip()} for speaker, said in zip(parts[::2], parts[1::2], strict=True)
    ]
