"""What makes a row worth keeping: one file per filter, found by name. Knows nothing of other rows.

A filter is a pure function of one row, its keyword-only parameters the options: it returns `KEEP`, or a `Drop` with a
reason that is counted (the same words for every row it drops for that reason) and the evidence in this row. One that
looks at a field named by an option says which option, `reads="field"`: a field that no row has stops the stage.
"""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from demiurgic.core.registry import Choice, Registry


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

FILTERS = Registry("filters", package="demiurgic.curate.filters")
FilterChoice = Annotated[Choice, FILTERS]
