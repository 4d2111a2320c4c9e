"""OpenOrca: FLAN's questions, answered by GPT-3.5 and GPT-4 under system messages."""

from typing import Any

from demiurgic.collect.fields import asked, known, optional_text, text
from demiurgic.collect.formats import FORMATS, Fields


@FORMATS.register("openorca", fields="system_prompt, question, response", reads=[])
class OpenOrca:
    """System prompt, question and response; the id tells FLAN's part and goes into meta (OpenOrca)."""

    def detect(self, record: Fields) -> bool:
        return {"system_prompt", "question", "response"} <= record.keys()

    def row(self, record: Fields) -> dict[str, Any]:
        system = optional_text(record, "system_prompt")
        messages = asked(text(record, "question"), text(record, "response"), system=system)
        return {
            "messages": messages,
            "meta": {f"openorca_{name}": value for name, value in known(record, "id").items()},
        }
