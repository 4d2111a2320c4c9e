"""Is the row too short or too long? Counts characters, for tokens depend on a tokenizer that does not exist yet.

N rows, M messages.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from demiurgic.core.errors import UserError
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason

if TYPE_CHECKING:
    import numpy as np

    Counts = np.ndarray[Any, np.dtype[np.int64]]


Number = Annotated[int, Field(ge=0)]


@FILTERS.register("length", over="batch")
def length(
    rows: RowBatch,
    *,
    min_answer_characters: Number = 1,
    max_answer_characters: Number | None = None,
    min_characters: Number = 1,
    max_characters: Number | None = 100_000,
) -> Verdicts:
    """Drop rows whose answer, or whose messages together, are too short or too long (in characters; null: no bound)."""
    import numpy as np

    _refuse_crossed("answer_characters", min_answer_characters, max_answer_characters)
    _refuse_crossed("characters", min_characters, max_characters)
    turns = rows.turns
    text_N, length_M = _characters(rows.column("text")), _characters(turns.contents_M)
    whole_N = text_N + np.diff(np.concatenate(([0], np.cumsum(length_M)))[turns.starts_N1])
    last_N = turns.last_N("assistant")
    # A row without an answer has its text for one; -1 takes the 0 put last.
    answer_N = np.where(last_N >= 0, np.append(length_M, 0)[last_N], text_N)
    nothing = np.zeros(len(rows), np.bool_)

    def most(counts_N: "Counts", bound: int | None) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        return nothing if bound is None else counts_N > bound

    return first_reason(
        len(rows),
        {
            "answer too short": (answer_N < min_answer_characters, _wanted(answer_N, f"least {min_answer_characters}")),
            "answer too long": (
                most(answer_N, max_answer_characters),
                _wanted(answer_N, f"most {max_answer_characters}"),
            ),
            "too short": (whole_N < min_characters, _wanted(whole_N, f"least {min_characters}")),
            "too long": (most(whole_N, max_characters), _wanted(whole_N, f"most {max_characters}")),
        },
    )


def _refuse_crossed(name: str, least: int, most: int | None) -> None:
    if most is not None and least > most:
        raise UserError(f"length: min_{name} {least} is above max_{name} {most}, so that no row could stay. Swap them.")


def _characters(texts: Any) -> "Counts":
    import numpy as np
    import pyarrow.compute as pc

    counts: Counts = pc.utf8_length(texts).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return counts


def _wanted(counts_N: "Counts", bound: str) -> Callable[[int], str]:
    return lambda row: f"{counts_N[row]} characters, wanted at {bound}"
