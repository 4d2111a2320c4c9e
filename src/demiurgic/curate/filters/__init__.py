"""What makes a row worth keeping: one file per filter, found by name. Knows nothing of other rows.

A filter is a pure function of rows, its keyword-only parameters the options, and comes in two forms:

- of one `Row`: returns `KEEP`, or a `Drop` with a reason that is counted (the same words for every row that it drops
  for that reason) and the evidence in this row. The easy form, for a filter of your own; to make rows takes some 50 µs
  for each;
- of a `RowBatch` (registered with `over="batch"`): returns `Verdicts`, columns over all rows of the batch. It may also
  give scores and labels, and rows that it changed. Every filter that ships is of this form.

Either gives a row the same verdict alone and among others. One that looks at a field named by an option says which
option, `reads="field"`: a field that no row has stops the stage. `needs=["PACKAGE"]` names packages to be there before
anything runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict

from demiurgic.core.registry import Choice, Registry

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

KEPT = -1
"""In `reason_N`: the row stays, as far as this filter goes."""


@dataclass(frozen=True, slots=True)
class Keep:
    """The row stays, as far as this filter goes."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The row goes: `reason` is counted by, `evidence` is what was found in this row."""

    reason: str
    evidence: str = ""


Verdict: TypeAlias = Keep | Drop
KEEP = Keep()


@dataclass(frozen=True)
class Verdicts:
    """What a filter says of N rows.

    `reason_N` (int16) is the place in `reasons` of why a row goes, `KEPT` where it stays; `evidence` has what was
    found, by row, for rows that go. `scores` (float64, NaN where it has none) go into the row's scores; `labels` (a
    text per row, null where it has none) into its meta, and `domain` into its own column where that is empty. `rows`
    are the rows with what this filter changed in them, None where it changed nothing. `counts` are added up into the
    summary, under the filter's name.
    """

    reason_N: "np.ndarray[Any, np.dtype[np.int16]]"
    reasons: tuple[str, ...] = ()
    evidence: Mapping[int, str] = field(default_factory=dict)
    scores: "Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]" = field(default_factory=dict)
    labels: "Mapping[str, pyarrow.Array]" = field(default_factory=dict)
    rows: "pyarrow.RecordBatch | None" = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def verdict(self, row: int) -> Verdict:
        reason = int(self.reason_N[row])
        return KEEP if reason == KEPT else Drop(self.reasons[reason], self.evidence.get(row, ""))


def first_reason(
    num_rows: int,
    reasons: "Mapping[str, tuple[np.ndarray[Any, np.dtype[np.bool_]], Callable[[int], str]]]",
    **more: Any,
) -> Verdicts:
    """Verdicts from masks: a row goes for the first reason whose mask has it, with what its function says of the row.

    `more` are further fields of `Verdicts`.
    """
    import numpy as np

    reason_N = np.full(num_rows, KEPT, np.int16)
    evidence: dict[int, str] = {}
    for place, (mask_N, said) in enumerate(reasons.values()):
        for row in np.flatnonzero(mask_N & (reason_N == KEPT)):
            evidence[int(row)] = said(int(row))
        reason_N[mask_N & (reason_N == KEPT)] = place
    return Verdicts(reason_N, tuple(reasons), evidence, **more)


class SharedOptions(BaseModel):
    """What every filter takes beside its own options."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    only_tag: bool = False
    """Keep the rows that it would drop; they are counted, and carry the reason in their meta (`would_drop`)."""


FILTERS = Registry("filters", package="demiurgic.curate.filters", shared=SharedOptions)
FilterChoice = Annotated[Choice, FILTERS]
