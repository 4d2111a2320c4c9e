"""OpenAI's fine-tuning files, with tools, calls, weights, and what its older files say otherwise."""

from collections.abc import Mapping
from typing import Any

from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.collect.formats.messages import TEXTS, Messages
from demiurgic.collect.openai_messages import openai_messages, openai_tools
from demiurgic.core.records import RowError

PLAIN = Messages()
OWN = (*TEXTS, "scores")
"""Fields of this package's rows, which may stand in one file with messages that are written otherwise."""


@FORMATS.register("openai", fields="messages with tools, tool_calls, weight, names or parts", reads=["messages"])
class OpenAI:
    """Messages with tools, tool calls, weights, names, parts of text (OpenAI fine-tuning)."""

    def detect(self, record: Fields) -> bool:
        return isinstance(record.get("messages"), list) and not PLAIN.detect(record)

    def row(self, record: Fields) -> dict[str, Any]:
        if "messages" not in record:
            raise RowError("no messages")
        if PLAIN.detect(record):
            return PLAIN.row(record)
        found = openai_messages(record["messages"])
        own = {name: record[name] for name in OWN if isinstance(record.get(name), str | Mapping)}
        meta = {**_facts(record), **found.meta}
        if record.get("parallel_tool_calls") is not None:
            meta["parallel_tool_calls"] = record["parallel_tool_calls"]
        if isinstance(record.get("rejected"), list):
            own["rejected"] = openai_messages(record["rejected"]).messages
        return {**own, "messages": found.messages, "tools": openai_tools(record), "meta": meta}


def _facts(record: Fields) -> Fields:
    meta = record.get("meta")
    return meta if isinstance(meta, Mapping) else {}
