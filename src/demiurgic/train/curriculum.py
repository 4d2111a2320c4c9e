"""The losses of a recipe, step by step: which weight and which temperature each has when."""

from collections.abc import Sequence
from dataclasses import dataclass

from demiurgic.core.registry import Choice
from demiurgic.train.components import Component, Source, components_of


@dataclass(frozen=True)
class Curriculum:
    losses: Sequence[Choice]

    def components(self, step: int, *, num_steps: int | None, source: Source) -> tuple[Component, ...]:
        """The losses of a step, counted from 0. Always all of them and in the same order."""
        return components_of(self.losses)
