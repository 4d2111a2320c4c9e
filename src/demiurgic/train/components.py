"""One loss of several, as it is at one optimizer step: no schedule is left in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from demiurgic.core.registry import Choice
from demiurgic.train.losses import Reads, reads

Source = Literal["data", "student"]
"""Who wrote the text of a step: `data` are the windows of the recipe, `student` is on-policy."""


@dataclass(frozen=True)
class Component:
    """With weight 0 it is not called, and nothing is computed for it."""

    name: str
    loss: Choice
    """Its options are plain values: a temperature is a number here."""
    weight: float
    top_entropy: float | None = None
    """Only this share of each document's tokens: those on which the student's entropy is highest."""
    scheduled: Mapping[str, float] = field(default_factory=dict)
    """Those of the loss's options that follow a schedule, as they are at this step."""

    @property
    def reads(self) -> Reads:
        return reads(self.loss)

    @property
    def active(self) -> bool:
        return self.weight != 0

    @property
    def needs_teacher(self) -> bool:
        return self.reads != "labels"


def names_of(losses: Sequence[Choice]) -> list[str]:
    """A name for each loss of a recipe; the second `forward_kl` is `forward_kl_2`."""
    names = [loss.name for loss in losses]
    numbers = [names[: position + 1].count(name) for position, name in enumerate(names)]
    return [name if number == 1 else f"{name}_{number}" for name, number in zip(names, numbers, strict=True)]


def components_of(losses: Sequence[Choice]) -> tuple[Component, ...]:
    """The losses of a recipe in which nothing follows a schedule."""
    return tuple(
        Component(name, loss, loss.shared.weight, loss.shared.top_entropy)
        for name, loss in zip(names_of(losses), losses, strict=True)
    )


def asked_of(loss: Choice, source: Source) -> bool:
    """Whether a loss is asked of text from this source. What the student wrote itself is no label."""
    if source == "student" and reads(loss) == "labels":
        return False
    return loss.shared.on in ("both", source)
