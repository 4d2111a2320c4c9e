"""What a step trains on: the windows of the recipe, or what the student wrote itself."""

from dataclasses import dataclass
from typing import Protocol

from demiurgic.models.windows import Batch, Windows
from demiurgic.train.components import Source
from demiurgic.train.order import Order


@dataclass(frozen=True)
class StepText:
    """The windows of one optimizer step, all micro-batches, the same for all processes."""

    batch: Batch
    source: Source
    windows: list[int]
    """Of the training tokens that they are, or that the student went on from."""


class TextSource(Protocol):
    def text(self, step: int) -> StepText:
        """The text of a step, counted from 0: a function of the seed, the step, and the student's weights."""


@dataclass(frozen=True)
class FromData:
    """The windows as they are."""

    windows: Windows
    order: Order

    def text(self, step: int) -> StepText:
        indices = self.order.windows(step)
        return StepText(self.windows.batch(indices), "data", indices)
