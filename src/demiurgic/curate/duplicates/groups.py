"""Groups rows that have one hash, best first. Knows nothing of what was hashed. A rows, known by their places."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Places = np.ndarray[Any, np.dtype[np.int64]]
    Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True)
class Groups:
    """Rows group by group, in each the best first."""

    place_A: "Places"
    """Places in the order that was grouped."""
    first_A: "Places"
    """For each of them where, in `place_A`, its group begins."""

    @property
    def rank_A(self) -> "Places":
        """For each of them how many of its group are better."""
        import numpy as np

        return np.arange(len(self.place_A)) - self.first_A


def grouped(hashes_A2: "Hashes") -> Groups:
    """Group hashes of 128 bits, given best first."""
    import numpy as np

    # A stable sort: within one hash the order stays, so the best comes first.
    place_A = np.lexsort((hashes_A2[:, 1], hashes_A2[:, 0]))
    ordered = hashes_A2[place_A]
    begins_A = np.ones(len(place_A), np.bool_)
    begins_A[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts_A = np.where(begins_A, np.arange(len(place_A)), 0)
    return Groups(place_A, np.maximum.accumulate(starts_A))
