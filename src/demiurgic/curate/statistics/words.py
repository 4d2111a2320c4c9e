"""How often words came, in a table of fixed size: entropy, and how the vocabulary grows. Two tables add up.

A word is known by the slot its hash falls into, so that words which share a slot count as one. The entropy is thereby a
lower bound; of distinct words the sharing is reckoned back (linear counting: Whang et al. 1990, ACM TODS 15, p. 208).
S slots.
"""

from dataclasses import dataclass
from math import log, sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

SLOTS = 1 << 16
FULLEST = 8.0
"""Words per slot up to which a count of distinct words is read back: its standard error is 2.7 % there."""
GROWTH = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
"""After how many words the vocabulary is counted."""


@dataclass(frozen=True)
class WordCounts:
    """How many words fell into each slot (int64)."""

    counts_S: "np.ndarray[Any, np.dtype[np.int64]]"

    def __add__(self, other: "WordCounts") -> "WordCounts":
        return WordCounts(self.counts_S + other.counts_S)

    @property
    def num_words(self) -> int:
        return int(self.counts_S.sum())

    @property
    def entropy_bits(self) -> float | None:
        """Shannon's entropy of a word drawn at random, in bits, of words told apart by slots; None where there is none.

        -sum p log2 p over the shares p of the words (Shannon 1948).
        """
        import numpy as np

        if not self.num_words:
            return None
        shares = self.counts_S[self.counts_S > 0] / self.num_words
        return max(0.0, float(-(shares * np.log2(shares)).sum()))

    def distinct_among(self, num_words: int) -> float | None:
        """How many distinct words a random draw of `num_words` of these words is expected to hold.

        The expectation over draws, where the order of rows plays no part: a slot with c of the N words is met with
        probability 1 - (1 - n/N)^c (rarefaction, Hurlbert 1971, Ecology 52, p. 577; here each word is drawn or not with
        the chance n/N, which for many words is the same). None where there are fewer words, or more distinct ones than
        the table can tell.
        """
        import numpy as np

        if not 0 < num_words <= self.num_words:
            return None
        filled = self.counts_S[self.counts_S > 0]
        if num_words == self.num_words:
            met = float(len(filled))
        else:
            met = float(-np.expm1(filled * np.log1p(-num_words / self.num_words)).sum())
        free = 1 - met / SLOTS
        if free < np.exp(-FULLEST):
            return None
        return -SLOTS * log(free)

    def growth(self) -> list[tuple[int, float]]:
        """Words seen and distinct words among them, at powers of ten and at all of them."""
        at = [n for n in GROWTH if n < self.num_words] + [self.num_words]
        found = [(n, self.distinct_among(n)) for n in at if n]
        return [(n, distinct) for n, distinct in found if distinct is not None]


def distinct_error(distinct: float) -> float:
    """The relative standard error of a count of distinct words: sqrt(S (e^t - t - 1)) / (t S) at t words a slot."""
    load = distinct / SLOTS
    # Below: the first terms of the series, where the formula would subtract two almost equal numbers.
    spread = 2.718281828459045**load - load - 1 if load > 1e-3 else load**2 / 2
    return sqrt(SLOTS * spread) / (load * SLOTS) if load else 0.0
