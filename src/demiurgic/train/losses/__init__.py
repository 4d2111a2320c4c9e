"""What a student can be trained on, one loss per file.

A loss is a function of a `Chunk` (train/chunk.py); its keyword-only parameters are the options of a recipe. One that
reads the teacher's distribution is registered with `needs_teacher=True`.
"""

from typing import Annotated

from pydantic import Field

from demiurgic.core.registry import Choice, Options, Registry


class LossOptions(Options):
    """What may be set on every loss."""

    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0


LOSSES = Registry("losses", singular="loss", package="demiurgic.train.losses", shared=LossOptions)

LossChoice = Annotated[Choice, LOSSES]

Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Divides the logits of student and teacher; the loss and its gradient are multiplied by its square."""


def needs_teacher(loss: Choice) -> bool:
    """Whether a loss reads the teacher's distribution."""
    return bool(loss.entry.facts.get("needs_teacher", False))
