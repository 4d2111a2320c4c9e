"""Does a model know how the code goes on? The next line of a real function, held against the real one."""

from typing import Annotated

from pydantic import Field

from demiurgic.core.records import Row
from demiurgic.core.seeds import share_of
from demiurgic.evaluate.generation import Answer, GenerationSuite
from demiurgic.evaluate.suite import CODE, SUITES, Item, Length, MaxRows, asked_for_code


@SUITES.register("next_line", metric="exact_next_line", better="higher", unit="share")
def next_line(
    *, length: Length = 256, max_rows: MaxRows = None, max_new_tokens: Annotated[int, Field(ge=2)] = 40
) -> GenerationSuite:
    """Share of next lines of code written exactly as they stand in the source, indentation included."""
    return GenerationSuite(
        question=question,
        score=score,
        wanted=CODE,
        stop="line",
        max_new_tokens=max_new_tokens,
        max_gold_tokens=max_new_tokens - 1,
        length=length,
        max_rows=max_rows,
    )


def question(row: Row) -> Item | None:
    """Gives the answer up to one of its lines that are not blank, chosen by the row's id, and asks for that line."""
    messages = asked_for_code(row)
    if messages is None:
        return None
    lines = row.answer().split("\n")
    candidates = [number for number, line in enumerate(lines) if line.strip()]
    if not candidates:
        return None
    number = candidates[int(share_of(f"next_line/{row.id}") * len(candidates))]
    begun = "".join(f"{line}\n" for line in lines[:number])
    more = "\n" if number + 1 < len(lines) else ""
    return Item(row.id, row, messages, begun=begun, gold=lines[number] + more)


def score(item: Item, answer: Answer) -> float:
    """1 for the same line, blanks at its end aside, and an end to it; else 0."""
    line, line_break, _ = answer.text.partition("\n")
    is_whole = bool(line_break) or answer.finished
    return float(is_whole and line.rstrip() == item.gold.rstrip())
