"""GSM8K: school mathematics, worked out in steps."""

import re
from typing import Any

from demiurgic.collect.fields import asked, text
from demiurgic.collect.formats import FORMATS, Fields

FINAL = re.compile(r"(?:^|\n)####\s*(.+?)\s*$")
CALCULATION = re.compile(r"<<[^<>]*>>")


@FORMATS.register("gsm8k", fields="question, and answer with its result after ####", reads=[])
class GSM8K:
    """Question and answer; the result after #### goes into meta, too (GSM8K).

    The answers mark what a calculator worked out, `<<48/2=24>>24`: the marks go, unless `calculations` keeps them.
    """

    def __init__(self, *, calculations: bool = False) -> None:
        self._calculations = calculations

    def detect(self, record: Fields) -> bool:
        answer = record.get("answer")
        return isinstance(record.get("question"), str) and isinstance(answer, str) and bool(FINAL.search(answer))

    def row(self, record: Fields) -> dict[str, Any]:
        answer = text(record, "answer")
        final = FINAL.search(answer)
        said = answer if self._calculations else CALCULATION.sub("", answer)
        meta = {"final_answer": final[1]} if final else {}
        return {"messages": asked(text(record, "question"), said), "domain": "mathematics", "meta": meta}
