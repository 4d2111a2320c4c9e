"""MetaMathQA: questions of GSM8K and MATH, rephrased and turned around."""

from typing import Any

from demiurgic.collect.fields import asked, known, text
from demiurgic.collect.formats import FORMATS, Fields

FINAL = "The answer is"


@FORMATS.register("metamath", fields="query, response, type, original_question", reads=[])
class MetaMath:
    """Query and response; the final answer, the type and the question it was made of go into meta (MetaMathQA)."""

    def detect(self, record: Fields) -> bool:
        return {"query", "response"} <= record.keys() and bool({"type", "original_question"} & record.keys())

    def row(self, record: Fields) -> dict[str, Any]:
        answer = text(record, "response")
        meta = known(record, "type", "original_question")
        final = _final_answer(answer)
        if final:
            meta["final_answer"] = final
        return {"messages": asked(text(record, "query"), answer), "domain": "mathematics", "meta": meta}


def _final_answer(answer: str) -> str:
    """What stands after the last mark, where no other line follows; else empty."""
    _, mark, rest = answer.rpartition(FINAL)
    final = rest.removeprefix(":").strip()
    return "" if not mark or "\n" in final else final
