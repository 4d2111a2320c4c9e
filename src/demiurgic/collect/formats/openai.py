"""OpenAI's fine-tuning files, with tools, calls, weights, and what its older files say otherwise."""

from typing import Any

from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.collect.formats.messages import Messages
from demiurgic.collect.openai_messages import openai_messages, openai_tools
from demiurgic.core.records import RowError

PLAIN = Messages()


@FORMATS.register("openai", fields="messages with tools, tool_calls, weight, names or parts", reads=["messages"])
class OpenAI:
    """Messages with tools, tool calls, weights, names, parts of text (OpenAI fine-tuning)."""

    def detect(self, record: Fields) -> bool:
        return isinstance(record.get("messages"), list) and not PLAIN.detect(record)

    def row(self, record: Fields) -> dict[str, Any]:
        if "messages" not in record:
            raise RowError("no messages")
        found = openai_messages(record["messages"])
        meta = dict(found.meta)
        if record.get("parallel_tool_calls") is not None:
            meta["parallel_tool_calls"] = record["parallel_tool_calls"]
        return {"messages": found.messages, "tools": openai_tools(record), "meta": meta}
