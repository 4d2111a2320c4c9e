"""Databricks Dolly: questions that people wrote and answered, some about a given text."""

from typing import Any

from demiurgic.collect.fields import asked, known, optional_text, paragraphs, text
from demiurgic.collect.formats import FORMATS, Fields


@FORMATS.register("dolly", fields="instruction, context, response, category", reads=[])
class Dolly:
    """Instruction, context and response; the category goes into meta (Dolly 15k)."""

    def detect(self, record: Fields) -> bool:
        return {"instruction", "context", "response"} <= record.keys()

    def row(self, record: Fields) -> dict[str, Any]:
        prompt = paragraphs(text(record, "instruction"), optional_text(record, "context"))
        return {"messages": asked(prompt, text(record, "response")), "meta": known(record, "category")}
