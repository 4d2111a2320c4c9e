"""The two columns of OpenAI's first fine-tuning files, which many sets still have."""

from typing import Any

from demiurgic.collect.fields import asked, optional_text, text
from demiurgic.collect.formats import FORMATS, Fields


@FORMATS.register("prompt_completion", fields="prompt, completion (and perhaps system)", reads=[])
class PromptCompletion:
    """Prompt and completion."""

    def detect(self, record: Fields) -> bool:
        return isinstance(record.get("prompt"), str) and "completion" in record

    def row(self, record: Fields) -> dict[str, Any]:
        system = optional_text(record, "system")
        return {"messages": asked(text(record, "prompt"), text(record, "completion"), system=system)}
