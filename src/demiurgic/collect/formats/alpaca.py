"""Alpaca, and the many that took over its form: CodeAlpaca, Alpaca-GPT4, Self-Instruct sets."""

from typing import Any

from demiurgic.collect.fields import asked, listed, optional_text, paragraphs, text
from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.core.records import RowError


@FORMATS.register("alpaca", fields="instruction, input, output (and perhaps system, history)", reads=["wizardlm"])
class Alpaca:
    """Instruction, input and output; with `history`, the turns before (Alpaca, CodeAlpaca, Alpaca-GPT4)."""

    def detect(self, record: Fields) -> bool:
        return {"instruction", "input", "output"} <= record.keys() and "context" not in record

    def row(self, record: Fields) -> dict[str, Any]:
        # Some copies hold the same answer as response, too; in a few only that one is filled in.
        answer = text(record, "output") or optional_text(record, "response")
        prompt = paragraphs(text(record, "instruction"), optional_text(record, "input"))
        *before, question, reply = asked(prompt, answer, system=optional_text(record, "system"))
        return {"messages": [*before, *_history(record), question, reply]}


def _history(record: Fields) -> list[dict[str, Any]]:
    """The turns before: a list of pairs."""
    if not record.get("history"):
        return []
    pairs = listed(record, "history")
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise RowError("history is not a list of pairs")
    return [message for prompt, answer in pairs for message in asked(prompt, answer)]
