"""WizardLM's Evol-Instruct, in both forms it was published in."""

from typing import Any

from demiurgic.collect.fields import asked, text
from demiurgic.collect.formats import FORMATS, Fields
from demiurgic.collect.sharegpt_turns import sharegpt_turns


@FORMATS.register("wizardlm", fields="instruction and output, or idx and conversations", reads=[])
class WizardLM:
    """Instruction and output, or conversations of human and gpt (WizardLM Evol-Instruct 70k and V2)."""

    def detect(self, record: Fields) -> bool:
        plain = {"instruction", "output"} <= record.keys() and not {"input", "context"} & record.keys()
        return plain or {"idx", "conversations"} <= record.keys()

    def row(self, record: Fields) -> dict[str, Any]:
        if "conversations" in record:
            return {"messages": sharegpt_turns(record, "conversations")}
        return {"messages": asked(text(record, "instruction"), text(record, "output"))}
