"""What a student can be trained on, one loss per file.

A loss is registered with what it reads:

- `labels`: the tokens of the text. A function of a `Chunk` (train/chunk.py).
- `distribution`: what teacher and student say of the next token. A function of a `Chunk`; with `from_samples=True` it
  is also unbiased on words drawn from the teacher (train/signals).
- `hidden`: hidden states of both. A function of a `HiddenPair` (train/hidden_loss.py).

Its keyword-only parameters are the options of a recipe.
"""

from typing import Annotated, Literal, cast

from pydantic import Field

from demiurgic.core.registry import Choice, Options, Registry

Reads = Literal["labels", "distribution", "hidden"]


class LossOptions(Options):
    """What may be set on every loss."""

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    top_entropy: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Ask only this share of each document's tokens: those on which the student's entropy is highest."""


LOSSES = Registry("losses", singular="loss", package="demiurgic.train.losses", shared=LossOptions)

LossChoice = Annotated[Choice, LOSSES]

Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Divides the logits of student and teacher; the loss and its gradient are multiplied by its square."""


def reads(loss: Choice) -> Reads:
    """What a loss reads; a loss registered without a word on it reads labels alone."""
    return cast(Reads, loss.entry.facts.get("reads", "labels"))


def needs_teacher(loss: Choice) -> bool:
    return reads(loss) != "labels"
