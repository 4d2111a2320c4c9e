"""What a rule that looks at all rows at once decides: who goes, why, and in favour of whom. Knows no rule.

N rows, all that came in, in order; a row is known by its number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demiurgic.core.metric import JSON, Metric

if TYPE_CHECKING:
    import numpy as np

STAYS = -1
"""In `reason_N`: the row stays, as far as this rule goes."""
NO_WITNESS = -1
"""In `witness_N`: no row stays in this one's place."""


@dataclass(frozen=True)
class Decisions:
    """What one rule says of N rows.

    `reason_N` (int16) is the place in `reasons` of why a row goes, `STAYS` where it stays; only rows that were alive
    may go. `witness_N` (int64) is the number of the row that stays in its place, `NO_WITNESS` where there is none;
    `similarity_N` (float32) how alike the two are, NaN where that says nothing; `key_N` (int8) the place in `keys` of
    what they were compared by, -1 for none. `earlier` names, by row, a witness that is not among these rows but in an
    index of earlier ones. `evidence` is what was found, by row, for rows that go. `facts` and `metrics` go into the
    summary under the rule's name.
    """

    reason_N: "np.ndarray[Any, np.dtype[np.int16]]"
    reasons: tuple[str, ...] = ()
    witness_N: "np.ndarray[Any, np.dtype[np.int64]] | None" = None
    similarity_N: "np.ndarray[Any, np.dtype[np.float32]] | None" = None
    key_N: "np.ndarray[Any, np.dtype[np.int8]] | None" = None
    keys: tuple[str, ...] = ()
    evidence: Mapping[int, str] = field(default_factory=dict)
    earlier: Mapping[int, str] = field(default_factory=dict)
    facts: Mapping[str, JSON] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    @classmethod
    def none(cls, num_rows: int) -> "Decisions":
        """Every row stays."""
        import numpy as np

        return cls(np.full(num_rows, STAYS, np.int16))
