"""The accounts of a step: its line in the log, what the bar shows, and what is said in lines of their own.

All three show one number, the sum of the weighted components. Functions of numbers; nothing here computes a loss.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from demiurgic.core.console import Console
from demiurgic.core.console import Progress as Bar
from demiurgic.core.metric import JSON
from demiurgic.train.components import Component, Source
from demiurgic.train.phases import PhaseNow

FIRST_STEPS = 10
"""Each of these is said, since most mistakes of a schedule show at once."""
LINES = 20
"""How many more lines a whole training says."""


@dataclass(frozen=True)
class StepRecord:
    """One optimizer step that is done. `total` is the number that was differentiated, as the objective gave it."""

    step: int
    """Counted from 1."""
    num_steps: int | None
    """Of the whole training; None while it is not known."""
    epoch: float
    tokens: int
    learning_rate: float
    gradient_norm: float
    seconds: float
    source: Source
    components: Sequence[Component]
    raw_K: Sequence[float]
    total: float
    component_norms: Mapping[str, float] | None = None
    """Of the weighted gradient of each component that was asked, before clipping."""
    phase: PhaseNow | None = None
    facts: Mapping[str, JSON] | None = None
    """More of the step's text."""


def step_line(record: StepRecord) -> dict[str, JSON]:
    """The line of a step in `log.jsonl`. Its total is the sum of what its components say they weigh.

    Raises AssertionError when the objective differentiated another number (by more than fp32 rounds).
    """
    accounts = {
        component.name: _account(component, raw, record.component_norms)
        for component, raw in zip(record.components, record.raw_K, strict=True)
    }
    weighted = [component.weight * raw for component, raw in zip(record.components, record.raw_K, strict=True)]
    total = sum(weighted)
    if abs(total - record.total) > 1e-5 * sum(map(abs, weighted)) + 1e-30:
        raise AssertionError(f"the components sum to {total}, and {record.total} was differentiated")
    line: dict[str, JSON] = {
        "step": record.step,
        "num_steps": record.num_steps,
        "epoch": record.epoch,
        "tokens": record.tokens,
        "learning_rate": record.learning_rate,
        "gradient_norm": record.gradient_norm,
        "seconds": record.seconds,
        "source": record.source,
        "total": total,
        "components": accounts,
    }
    if record.phase is not None:
        line["phase"] = {"name": record.phase.name, "progress": record.phase.progress}
    return {**line, **(record.facts or {})}


def _account(component: Component, raw: float, norms: Mapping[str, float] | None) -> JSON:
    account: dict[str, JSON] = {
        "raw": raw if component.active else None,
        "weight": component.weight,
        "weighted": component.weight * raw,
    }
    if norms is not None:
        account["gradient_norm"] = norms.get(component.name, 0.0)
    if component.scheduled:
        account["options"] = dict(component.scheduled)
    return account


def bar_text(record: StepRecord) -> str:
    """What stands beside the bar: `loss 2.3456 · learning rate 1.20e-06 · warm 45 %`."""
    total = sum(c.weight * raw for c, raw in zip(record.components, record.raw_K, strict=True))
    parts = [f"loss {_loss(total)}", f"learning rate {record.learning_rate:.2e}"]
    if record.phase is not None:
        parts.append(_phase(record.phase))
    return " · ".join(parts)


class Announcer:
    """Says steps in lines, above the bar where one is drawn: the first ones, then twenty over the whole training.

    A line holds what the bar shows, and the weights and other numbers that follow a schedule. The log has all steps.
    """

    def __init__(self, console: Console, bar: Bar) -> None:
        self._console = console
        self._bar = bar

    def step(self, record: StepRecord) -> None:
        """Show a step that is done beside the bar, and say it where that is due."""
        self._bar.show(bar_text(record))
        if is_due(record.step, record.num_steps):
            self._console.say(announcement(record))


def is_due(step: int, num_steps: int | None) -> bool:
    """Whether a step, counted from 1, is said. While the number of steps is unknown, the first alone are."""
    if step <= FIRST_STEPS or num_steps is None:
        return step <= FIRST_STEPS
    every = math.ceil(num_steps / LINES)
    return step % every == 0 or step == num_steps


def announcement(record: StepRecord) -> str:
    """`step 40 of 200 (20 %) · loss 2.3456 · learning rate 1.20e-06 · warm 45 % · forward_kl 0.9 (temperature 1.5)`."""
    count = f"step {record.step}"
    if record.num_steps is not None:
        count += f" of {record.num_steps} ({math.floor(100 * record.step / record.num_steps)} %)"
    text = ["on its own text"] if record.source == "student" else []
    return "  " + " · ".join([count, bar_text(record), *text, *map(_weight, record.components)])


def _weight(component: Component) -> str:
    options = ", ".join(f"{name} {value:.4g}" for name, value in component.scheduled.items())
    return f"{component.name} {component.weight:.4g}" + (f" ({options})" if options else "")


def _phase(phase: PhaseNow) -> str:
    return f"{phase.name} {math.floor(100 * phase.progress)} %"


def _loss(total: float) -> str:
    return f"{total:.4f}" if abs(total) >= 1e-2 or total == 0 else f"{total:.3e}"
