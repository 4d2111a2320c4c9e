"""What a step trains on: the windows of the recipe, or what the student wrote itself, and what its mean is over.

Shapes: B windows, T tokens of a window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

from demiurgic.core.metric import JSON
from demiurgic.models.windows import Batch, Windows
from demiurgic.train.components import Source
from demiurgic.train.order import Order

Average: TypeAlias = Literal["tokens", "documents"]


@dataclass(frozen=True)
class StepText:
    """The windows of one optimizer step, all micro-batches, the same for all processes."""

    batch: Batch
    source: Source
    windows: list[int]
    """Of the training tokens that they are, or that the student went on from."""
    facts: Mapping[str, JSON] = field(default_factory=dict)
    """For the step's line in the log."""


class TextSource(Protocol):
    def text(self, step: int, *, num_steps: int | None) -> StepText:
        """The text of a step, counted from 0: a function of the seed, the step, and the student's weights.

        `num_steps` is the length of the training, None while it is not known.
        """


@dataclass(frozen=True)
class FromData:
    """The windows as they are."""

    windows: Windows
    order: Order

    def text(self, step: int, *, num_steps: int | None = None) -> StepText:
        del num_steps
        indices = self.order.windows(step)
        return StepText(self.windows.batch(indices), "data", indices)


@dataclass(frozen=True)
class ByDocument:
    """The text of another source, every document of a step counting the same."""

    source: TextSource

    def text(self, step: int, *, num_steps: int | None = None) -> StepText:
        found = self.source.text(step, num_steps=num_steps)
        return replace(found, batch=documents_alike(found.batch))


def averaged(source: TextSource, average: Average) -> TextSource:
    """The text of `source`, its weights such that the loss is the mean that the recipe asks for."""
    return ByDocument(source) if average == "documents" else source


def documents_alike(batch: Batch) -> Batch:
    """The windows with weights that sum to 1 over each document that has any. None of them is cut into pieces.

    A mean over all supervised tokens is then the mean over documents of the mean over a document's own tokens, and
    what a mean divides by is the number of those documents. Which window a document lies in changes nothing.
    """
    import numpy as np

    weights_BT = batch.weights_BT.astype(np.float64)
    num_windows = len(weights_BT)
    width = int(batch.documents_BT.max(initial=0)) + 1
    of_BT = batch.documents_BT + width * np.arange(num_windows)[:, None]
    sums = np.bincount(of_BT.ravel(), weights=weights_BT.ravel(), minlength=num_windows * width)
    sums[sums == 0] = 1.0  # nothing of these is supervised
    return replace(batch, weights_BT=(weights_BT / sums[of_BT]).astype(np.float32))
