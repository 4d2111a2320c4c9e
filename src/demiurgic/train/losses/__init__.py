"""What a student can be trained on, one loss per file.

A loss is registered with what it reads:

- `labels`: the tokens of the text. A function of a `Chunk` (train/chunk.py).
- `distribution`: what teacher and student say of the next token. A function of a `Chunk`; with `from_samples=True` it
  is also unbiased on words drawn from the teacher (train/signals).
- `hidden`: hidden states of both. A function of a `HiddenPair` (train/hidden_loss.py).

Its keyword-only parameters are the options of a recipe. A number of the type `Temperature` or `Mixing` may follow a
schedule there (train/scheduled.py); the function gets it as it is at the step.
"""

from typing import Annotated, Literal, cast

from pydantic import Field

from demiurgic.core.registry import Choice, Entry, Options, Registry
from demiurgic.train.scheduled import Scheduled

Reads = Literal["labels", "distribution", "hidden"]


class LossOptions(Options):
    """What may be set on every loss."""

    weight: Annotated[float, Scheduled(ge=0, balance=True)] = 1.0
    """A number, a schedule, or `{balance: SHARE}` of the total. At 0 the loss is not called."""
    on: Literal["both", "data", "student"] = "both"
    """Whose text it is asked of, where the student writes some. A loss that reads labels is asked of the data alone:
    what the student wrote is no label."""
    top_entropy: Annotated[float, Field(ge=1e-6, lt=1)] | None = None
    """Ask only this share of the tokens of each document, or of the piece of one that lies in a window: those on which
    the student's entropy is highest."""


LOSSES = Registry("losses", singular="loss", package="demiurgic.train.losses", shared=LossOptions)

LossChoice = Annotated[Choice, LOSSES]

LOWEST_TEMPERATURE = 1e-3
"""Logits divided by less are beyond what fp32 tells apart, and soon beyond what it holds."""

Temperature = Annotated[float, Scheduled(ge=LOWEST_TEMPERATURE)]
"""Divides the logits of student and teacher; the loss and its gradient are multiplied by its square."""

Mixing = Annotated[float, Scheduled(gt=0, lt=1)]
"""The teacher's share, or the student's, of a mixture of both."""


def reads(loss: Choice) -> Reads:
    return reads_of(loss.entry)


def reads_of(loss: Entry) -> Reads:
    """What a loss reads; a loss registered without a word on it reads labels alone."""
    return cast(Reads, loss.facts.get("reads", "labels"))


def needs_teacher(loss: Choice) -> bool:
    return reads(loss) != "labels"
