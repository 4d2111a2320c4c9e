"""MetaMathQA: questions of GSM8K and MATH, rephrased and turned around."""

import re
from typing import Any

from demiurgic.collect.fields import asked, known, text
from demiurgic.collect.formats import FORMATS, Fields

FINAL = re.compile(r"The answer is:?\s*(.+?)\s*$")


@FORMATS.register("metamath", fields="query, response, type, original_question", reads=[])
class MetaMath:
    """Query and response; the final answer, the type and the question it was made of go into meta (MetaMathQA)."""

    def detect(self, record: Fields) -> bool:
        return {"query", "response"} <= record.keys() and bool({"type", "original_question"} & record.keys())

    def row(self, record: Fields) -> dict[str, Any]:
        answer = text(record, "response")
        meta = known(record, "type", "original_question")
        final = FINAL.search(answer)
        if final:
            meta["final_answer"] = final[1]
        return {"messages": asked(text(record, "query"), answer), "domain": "mathematics", "meta": meta}
