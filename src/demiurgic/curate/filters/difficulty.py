"""How hard is the row? Scores it; drops rows only where a recipe sets a bound."""

from typing import Annotated

from pydantic import Field

from demiurgic.core.errors import UserError
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.tags.difficulty import difficulty_of

Bound = Annotated[float, Field(ge=0, le=1)]


@FILTERS.register("difficulty", over="batch")
def difficulty(rows: RowBatch, *, min: Bound = 0.0, max: Bound = 1.0) -> Verdicts:
    """Score from 0 to 1 what an answer takes: steps, length, rare words, depth; drop rows that are too easy or hard."""
    if min > max:
        raise UserError(f"difficulty: min {min:g} is above max {max:g}, so that no row could stay. Swap them.")
    found_N = difficulty_of(rows)
    reasons = {
        "too easy": (found_N < min, lambda row: f"{found_N[row]:.2f}, wanted at least {min:g}"),
        "too hard": (found_N > max, lambda row: f"{found_N[row]:.2f}, wanted at most {max:g}"),
    }
    return first_reason(len(rows), reasons, scores={"difficulty": found_N})
