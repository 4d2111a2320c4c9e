"""The learning rate as a function of the optimizer step. There is no state to save, and nothing to step twice."""

import math
from dataclasses import dataclass
from typing import Literal

Shape = Literal["cosine", "wsd", "constant"]

WSD_DECAY_SHARE = 0.2
"""Of all steps; beyond a fifth, longer cool-downs gain little (Hägele et al. 2024, arXiv 2405.18392, section 3)."""


@dataclass(frozen=True)
class LearningRate:
    """Linear warm-up to `peak`, then a shape that ends at `min_share * peak`.

    `cosine`: half a cosine from the end of the warm-up to the last step. `wsd` (warm-up, stable, decay): constant, then
    down with 1 - sqrt(x) over the last fifth of the steps (Hägele et al. 2024, equation 1). `constant`: no decay.
    """

    shape: Shape
    peak: float
    warmup_steps: int
    min_share: float

    def at(self, step: int, *, num_steps: int | None) -> float:
        """The rate of a step, counted from 0. `num_steps` may be unknown (None) while the warm-up lasts."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        if num_steps is None:
            raise AssertionError("the number of steps must be known when the warm-up ends")
        return self.peak * (self.min_share + (1 - self.min_share) * self._height(step, num_steps))

    def _height(self, step: int, num_steps: int) -> float:
        match self.shape:
            case "constant":
                return 1.0
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * _progress(step, self.warmup_steps, num_steps)))
            case "wsd":
                start = max(self.warmup_steps, num_steps - round(WSD_DECAY_SHARE * num_steps))
                return 1 - math.sqrt(max(0.0, _progress(step, start, num_steps)))


def _progress(step: int, start: int, num_steps: int) -> float:
    """0 at `start`, 1 at the last step (not one after it, so that the lowest rate is used once)."""
    return (step - start) / max(1, num_steps - 1 - start)
