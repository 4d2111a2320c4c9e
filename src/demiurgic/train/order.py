"""Which windows an optimizer step trains on: a function of the seed and the step alone, so that resuming is exact."""

from functools import lru_cache
from typing import TYPE_CHECKING

from demiurgic.core.seeds import Seeds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Order:
    """Each epoch is a permutation of its own, and the epochs stand end to end.

    A step that begins at the end of one epoch goes on in the next: every window is seen once per epoch, none is left
    over.
    """

    def __init__(self, num_windows: int, *, batch: int, seeds: Seeds) -> None:
        self.num_windows = num_windows
        self.batch = batch
        self._seeds = seeds
        self._epoch = lru_cache(maxsize=2)(self._permutation)

    def windows(self, step: int) -> list[int]:
        """The `batch` windows of a step, counted from 0."""
        places = range(step * self.batch, (step + 1) * self.batch)
        return [int(self._epoch(place // self.num_windows)[place % self.num_windows]) for place in places]

    def epochs(self, step: int) -> float:
        """How many epochs are done after `step` steps."""
        return step * self.batch / self.num_windows

    def _permutation(self, epoch: int) -> "NDArray[np.int64]":
        return self._seeds.array_stream(f"order/{epoch}").permutation(self.num_windows)
