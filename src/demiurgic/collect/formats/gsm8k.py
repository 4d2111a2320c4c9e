"""GSM8K: school mathematics, worked out in steps."""

import re
from typing import Any

from demiurgic.collect.fields import asked, text
from demiurgic.collect.formats import FORMATS, Fields

FINAL = "\n####"
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
        return isinstance(record.get("question"), str) and isinstance(answer, str) and bool(_final_answer(answer))

    def row(self, record: Fields) -> dict[str, Any]:
        answer = text(record, "answer")
        final = _final_answer(answer)
        said = answer if self._calculations else CALCULATION.sub("", answer)
        meta = {"final_answer": final} if final else {}
        return {"messages": asked(text(record, "question"), said), "domain": "mathematics", "meta": meta}


def _final_answer(answer: str) -> str:
    """What stands after the last mark, where no other line follows; else empty."""
    _, mark, rest = f"\n{answer}".rpartition(FINAL)
    final = rest.strip()
    return "" if not mark or "\n" in final else final
