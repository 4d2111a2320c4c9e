"""What has become of each row so far: whether it stays, and if not why and in favour of whom. Knows no rule.

A rows came to be judged, and are known by their places among themselves, 0 to A - 1; K rows of earlier curations follow
them as witnesses, A to A + K - 1.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    import numpy as np

    Places = np.ndarray[Any, np.dtype[np.int64]]

STAYS, NO_KEY = -1, -1


class Reason(IntEnum):
    """Why a row goes: the place in `REASONS`."""

    COPY = 0
    KNOWN_COPY = 1
    NEAR = 2
    KNOWN_NEAR = 3
    CAPPED = 4


REASONS = (
    "duplicate: another row says the same",
    "duplicate: a row of an earlier curation says the same",
    "near-duplicate: another row says nearly the same",
    "near-duplicate: a row of an earlier curation says nearly the same",
    "answers_per_prompt: the prompt has enough answers",
)


@final
class Standing:
    """Changes as the rules go over the rows."""

    def __init__(self, num_rows: int) -> None:
        import numpy as np

        self.num_rows = num_rows
        self.reason_A = np.full(num_rows, STAYS, np.int16)
        self.witness_A = np.full(num_rows, STAYS, np.int64)
        self.similarity_A = np.full(num_rows, np.nan, np.float32)
        self.key_A = np.full(num_rows, NO_KEY, np.int8)

    @property
    def stays_A(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        stays_A: np.ndarray[Any, np.dtype[np.bool_]] = self.reason_A == STAYS
        return stays_A

    def drop(
        self,
        gone: "Places",
        *,
        witnesses: "Places",
        reason: Reason,
        known: Reason | None = None,
        similarity: Any = float("nan"),
        key: int = NO_KEY,
    ) -> None:
        """Rows that go, each with its witness; `known` is the reason where that is a row of an earlier curation."""
        import numpy as np

        self.reason_A[gone] = np.where(witnesses < self.num_rows, reason, reason if known is None else known)
        self.witness_A[gone] = witnesses
        self.similarity_A[gone] = similarity
        self.key_A[gone] = key

    def revive(self, places: "Places") -> None:
        """As if nothing had been said of these rows."""
        self.reason_A[places] = self.witness_A[places] = STAYS
        self.similarity_A[places] = float("nan")
        self.key_A[places] = NO_KEY

    def orphans(self) -> "Places":
        """Near-duplicates whose witness has itself gone since: they are similar to no row that stays, so far."""
        import numpy as np

        near = np.flatnonzero(self.reason_A == Reason.NEAR)
        return near[~self.stays_A[self.witness_A[near]]]

    def follow(self) -> None:
        """A copy of a row that has gone went for the reason that row went for: the two say the same."""
        import numpy as np

        copies = np.flatnonzero(self.reason_A == Reason.COPY)
        moved = copies[~self.stays_A[self.witness_A[copies]]]
        led_by = self.witness_A[moved]
        for column in (self.reason_A, self.similarity_A, self.key_A, self.witness_A):
            column[moved] = column[led_by]
