"""ShareGPT: conversations of many turns, some with tools."""

from typing import Any

from demiurgic.collect.fields import known, optional_text
from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.collect.sharegpt_turns import sharegpt_turns

NAMES = ("conversations", "conversation")


@FORMATS.register("sharegpt", fields="conversations, a list of from and value", reads=["wizardlm"])
class ShareGPT:
    """Conversations of human, gpt, system and tool (ShareGPT and what is written like it)."""

    def detect(self, record: Fields) -> bool:
        return "idx" not in record and any(isinstance(record.get(name), list) for name in NAMES)

    def row(self, record: Fields) -> dict[str, Any]:
        name = next((name for name in NAMES if name in record), NAMES[0])
        messages = sharegpt_turns(record, name)
        system = optional_text(record, "system")
        if system and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": system}, *messages]
        tools = record.get("tools") or None
        return {
            "messages": messages,
            "tools": tools,
            "meta": {f"sharegpt_{k}": v for k, v in known(record, "id").items()},
        }
