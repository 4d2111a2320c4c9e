"""The named parts of a training, as shares of its optimizer steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat


class Phase(BaseModel):
    """`{name: warm, share: 0.2}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1)]
    share: PositiveFloat
    """Of the optimizer steps. The shares of all phases sum to 1."""


@dataclass(frozen=True)
class PhaseNow:
    """Where in the phases a step lies."""

    name: str
    progress: float
    """0 at the phase's first step, 1 at its last."""


def phase_starts(phases: Sequence[Phase], num_steps: int) -> list[int]:
    """The first step of each phase, counted from 0: the sums of the shares, rounded to steps."""
    shares = [sum(phase.share for phase in phases[:position]) for position in range(len(phases))]
    return [math.floor(share * num_steps + 0.5) for share in shares]


def phase_at(phases: Sequence[Phase], step: int, *, num_steps: int) -> PhaseNow:
    starts = phase_starts(phases, num_steps)
    position = max(position for position, start in enumerate(starts) if start <= step)
    past = [*starts, num_steps][position + 1]
    return PhaseNow(phases[position].name, progress_of(step, first=starts[position], past=past))


def problem_of_phases(phases: Sequence[Phase], num_steps: int | None) -> str | None:
    """What is wrong with the phases of a training, or None; `num_steps` is None where it is not known yet."""
    names = [phase.name for phase in phases]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        return f"two phases are called {twice[0]}; give each a name of its own"
    total = math.fsum(phase.share for phase in phases)
    if phases and abs(total - 1) > 1e-6:
        return f"the shares of the phases {', '.join(names)} sum to {total:g}, not to 1"
    if num_steps is None:
        return None
    starts = [*phase_starts(phases, num_steps), num_steps]
    for phase, start, past in zip(phases, starts, starts[1:], strict=False):
        if past <= start:
            return (
                f"phase {phase.name} is {phase.share:g} of {num_steps} steps, which is no whole step; give it a larger "
                "share, or train for more steps"
            )
    return None


def progress_of(step: int, *, first: int, past: int) -> float:
    """0 at the first step, 1 at the last; 0 where there is but one."""
    return (step - first) / max(1, past - 1 - first)
