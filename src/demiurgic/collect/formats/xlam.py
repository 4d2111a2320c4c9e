"""xLAM: a question, the tools at hand, and the calls that answer it."""

from typing import Any

from demiurgic.collect.fields import known, listed, text
from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.core.records import RowError


@FORMATS.register("xlam", fields="query, tools, answers (lists, or JSON text of them)", reads=[])
class XLAM:
    """Query, tools and the calls that answer it (xLAM function calling, APIGen)."""

    def detect(self, record: Fields) -> bool:
        return {"query", "answers", "tools"} <= record.keys()

    def row(self, record: Fields) -> dict[str, Any]:
        calls = [_call(call, number=number) for number, call in enumerate(listed(record, "answers"))]
        tools = [{"type": "function", "function": tool} for tool in listed(record, "tools")]
        messages = [
            {"role": "user", "content": text(record, "query")},
            {"role": "assistant", "content": "", "tool_calls": calls},
        ]
        return {
            "messages": messages,
            "tools": tools,
            "domain": "tools",
            "meta": {f"xlam_{k}": v for k, v in known(record, "id").items()},
        }


def _call(call: Any, *, number: int) -> dict[str, Any]:
    if not isinstance(call, dict):
        raise RowError("answers holds something that is not an object")
    return {"id": f"call_{number}", "name": call.get("name"), "arguments": call.get("arguments", {})}
