"""Lengths counted in buckets that each are a twelfth wider than the last: small, and two of them add up exactly.

A quantile read from it is off by 4.5 % at most, which is half a bucket. Knows not what was measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from demiurgic.core.metric import JSON

if TYPE_CHECKING:
    import numpy as np

PER_OCTAVE = 8
BUCKETS = 1 + 40 * PER_OCTAVE
"""One for 0, and eight to each doubling up to 2^40."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class Histogram:
    """How many lengths fell into each bucket (int64), with their exact sum and extremes."""

    counts_B: "np.ndarray[Any, np.dtype[np.int64]]"
    total: int
    least: float
    most: float

    @classmethod
    def of(cls, lengths_N: "np.ndarray[Any, np.dtype[np.int64]]") -> "Histogram":
        import numpy as np

        octaves = np.log2(np.maximum(lengths_N, 1)) * PER_OCTAVE
        places = np.where(lengths_N > 0, np.minimum(octaves.astype(np.int64) + 1, BUCKETS - 1), 0)
        counts = np.bincount(places, minlength=BUCKETS)
        return cls(counts, int(lengths_N.sum()), float(lengths_N.min(initial=2**62)), float(lengths_N.max(initial=0)))

    def __add__(self, other: "Histogram") -> "Histogram":
        least, most = min(self.least, other.least), max(self.most, other.most)
        return Histogram(self.counts_B + other.counts_B, self.total + other.total, least, most)

    @property
    def n(self) -> int:
        return int(self.counts_B.sum())

    @property
    def mean(self) -> float | None:
        return self.total / self.n if self.n else None

    def quantile(self, share: float) -> float | None:
        """The length that `share` of all do not exceed, by the middle of its bucket; None of none."""
        import numpy as np

        if not self.n:
            return None
        place = int(np.searchsorted(np.cumsum(self.counts_B), max(1.0, share * self.n)))
        low, high = bounds(place)
        return min(max((low * high) ** 0.5 if place else 0.0, self.least), self.most)

    def __iter__(self) -> Iterator[tuple[float, float, int]]:
        """The buckets that hold something: from, to (not in it), how many."""
        for place in self.counts_B.nonzero()[0].tolist():
            yield *bounds(place), int(self.counts_B[place])

    def to_json(self) -> dict[str, JSON]:
        said: dict[str, JSON] = {"n": self.n, "total": self.total, "mean": self.mean}
        said |= {"least": self.least if self.n else None, "most": self.most if self.n else None}
        said |= {f"p{100 * share:g}": self.quantile(share) for share in QUANTILES}
        said["buckets"] = [[low, high, count] for low, high, count in self]
        return said


def bounds(place: int) -> tuple[float, float]:
    """From where to where a bucket goes; the second is not in it."""
    if place == 0:
        return 0.0, 1.0
    high = 2 ** (place / PER_OCTAVE) if place < BUCKETS - 1 else inf
    return 2 ** ((place - 1) / PER_OCTAVE), high
