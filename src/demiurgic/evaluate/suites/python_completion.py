"""Does a model write code that parses? The completion of a real function or class, held against the grammar alone."""

from typing import Annotated

from pydantic import Field

from demiurgic.core.records import Row
from demiurgic.evaluate.generation import Answer, GenerationSuite
from demiurgic.evaluate.suite import CODE, SUITES, Item, Length, MaxRows, asked_for_code
from demiurgic.verify.python_syntax import grammar, parses


@SUITES.register("python_completion", fingerprint=grammar, metric="parses", better="higher", unit="share")
def python_completion(
    *,
    length: Length = 256,
    max_rows: MaxRows = None,
    max_gold_tokens: Annotated[int, Field(ge=1)] = 64,
    max_new_tokens: Annotated[int, Field(ge=1)] = 96,
) -> GenerationSuite:
    """Share of completions that end by themselves and make, with the code given, whole Python."""
    return GenerationSuite(
        question=question,
        score=score,
        wanted=CODE,
        stop="turn",
        max_new_tokens=max_new_tokens,
        max_gold_tokens=max_gold_tokens,
        length=length,
        max_rows=max_rows,
    )


def question(row: Row) -> Item | None:
    """Asks for the answer as it stands in the row; only where that answer would score itself."""
    messages = asked_for_code(row)
    if messages is None:
        return None
    item = Item(row.id, row, messages, gold=row.answer())
    return item if score(item, Answer(item.gold, finished=True)) == 1 else None


def score(item: Item, answer: Answer) -> float:
    """1 for an answer that is not empty, was not cut off, and parses after the code given; else 0."""
    whole = item.row.facts["prefix"] + answer.text
    return float(bool(answer.text.strip()) and answer.finished and parses(whole))
