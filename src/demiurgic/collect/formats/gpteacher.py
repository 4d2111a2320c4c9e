"""GPTeacher: the Alpaca form with another name for the answer."""

from typing import Any

from demiurgic.collect.fields import asked, optional_text, paragraphs, text
from demiurgic.collect.formats import FORMATS, Fields


@FORMATS.register("gpteacher", fields="instruction, input, response", reads=[])
class GPTeacher:
    """Instruction, input and response (GPTeacher)."""

    def detect(self, record: Fields) -> bool:
        return {"instruction", "input", "response"} <= record.keys() and not {"output", "context"} & record.keys()

    def row(self, record: Fields) -> dict[str, Any]:
        prompt = paragraphs(text(record, "instruction"), optional_text(record, "input"))
        return {"messages": asked(prompt, text(record, "response"))}
