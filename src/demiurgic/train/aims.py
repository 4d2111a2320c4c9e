"""What a recipe says of what is learned: which losses, from whom, on whose text, and in which phases."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demiurgic.core.registry import Choice
from demiurgic.train.components import Source, names_of
from demiurgic.train.on_policy import OnPolicy
from demiurgic.train.phases import Phase
from demiurgic.train.scheduled import Number, numbers_in


@dataclass(frozen=True)
class Aims:
    """`teacher` is what the config holds: a reference, an artifact, or a served one."""

    losses: Sequence[Choice]
    teacher: Any
    on_policy: OnPolicy | None
    phases: Sequence[Phase]

    @property
    def named(self) -> list[tuple[str, Choice]]:
        return list(zip(names_of(self.losses), self.losses, strict=True))

    @property
    def share(self) -> Number:
        """Of the steps on text that the student writes."""
        return self.on_policy.share if self.on_policy is not None else 0.0

    @property
    def sources(self) -> list[Source]:
        """Whose text there will be at some step."""
        shares = numbers_in(self.share)
        found: list[tuple[Source, bool]] = [("data", min(shares) < 1), ("student", max(shares) > 0)]
        return [source for source, there in found if there]
