"""The log of a training as lines to reason about. Knows the format that the stage `train` writes, and no thresholds."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.train.log import LOG

STUDENT = "student"
"""The source of text that the student wrote itself."""


@dataclass(frozen=True)
class Account:
    """One loss at one optimizer step."""

    raw: float | None
    """None where its weight was 0."""
    weight: float
    weighted: float
    gradient_norm: float | None
    """Of its weighted gradient; None where it was not logged."""
    options: Mapping[str, JSON] = field(default_factory=dict)
    """Values of scheduled options at this step."""


@dataclass(frozen=True)
class StepLine:
    """One optimizer step, counted from 1."""

    step: int
    total: float
    learning_rate: float
    gradient_norm: float | None
    epoch: float | None
    source: str
    components: Mapping[str, Account]
    num_steps: int | None = None
    """Of the whole training."""
    finished_share: float | None = None
    """Of the answers that the student wrote itself: how many ended before they were cut off."""

    @property
    def active(self) -> dict[str, Account]:
        """The losses that were computed."""
        return {name: account for name, account in self.components.items() if account.raw is not None}


@dataclass(frozen=True)
class Look:
    """One look at the held-out windows."""

    step: int
    nats: float
    """Per token."""
    best: bool
    """Whether these were the best weights so far."""
    teacher_nats: float | None


@dataclass(frozen=True)
class Curve:
    """One number over the steps at which it was logged."""

    name: str
    steps: Sequence[int]
    values: Sequence[float]

    def within(self, first: int, last: int) -> "Curve":
        """The part at the steps `first` to `last`, both counted in."""
        kept = [(step, value) for step, value in zip(self.steps, self.values, strict=True) if first <= step <= last]
        return Curve(self.name, [step for step, _ in kept], [value for _, value in kept])

    def share(self, start: float, end: float) -> "Curve":
        """The part between two shares of its length."""
        cut = slice(round(start * len(self.steps)), round(end * len(self.steps)))
        return Curve(self.name, self.steps[cut], self.values[cut])

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class Log:
    """The lines up to the first that cannot be read; `problem` says which that is."""

    path: Path
    steps: Sequence[StepLine]
    looks: Sequence[Look]
    problem: str = ""

    @property
    def num_lines(self) -> int:
        return len(self.steps) + len(self.looks)

    @property
    def last_step(self) -> int:
        return self.steps[-1].step if self.steps else 0

    @property
    def best(self) -> Look | None:
        """The look with the lowest loss; the first of equals, as the training keeps it."""
        return min(self.looks, key=lambda look: look.nats, default=None)

    @cached_property
    def names(self) -> list[str]:
        """Of the losses, in the recipe's order."""
        return list(dict.fromkeys(name for line in self.steps for name in line.components))

    def curve(self, name: str, value: Callable[[StepLine], float | None]) -> Curve:
        found = [(line.step, number) for line in self.steps if (number := value(line)) is not None]
        return Curve(name, [step for step, _ in found], [number for _, number in found])

    def raw(self, name: str) -> Curve:
        """A loss without its weight, where it was computed."""
        return self.curve(name, lambda line: line.components[name].raw if name in line.components else None)

    @cached_property
    def training_loss(self) -> Curve:
        """A curve that means the same at every step: the total, or the raw loss with the largest part in it.

        Weights, temperatures and on-policy shares that change would move the total without any learning.
        """
        settings = {(_settings(line), line.source) for line in self.steps}
        if len(settings) <= 1:
            return self.curve("total loss", lambda line: line.total)
        sizes = {name: sum(abs(line.components[name].weighted) for line in self.steps) for name in self.names}
        largest = max(sizes, key=lambda name: sizes[name])
        own = [line for line in self.steps if line.source == "data" and line.components[largest].raw is not None]
        if len({_options(line.components[largest]) for line in own}) > 1:
            return Curve(largest, [], [])
        return Curve(largest, [line.step for line in own], [float(line.components[largest].raw or 0) for line in own])

    def cite(self, first: int, last: int | None = None) -> str:
        """The lines of the log behind a finding."""
        return f"{self.path}, step {first}" if last in (None, first) else f"{self.path}, steps {first} to {last}"


def _settings(line: StepLine) -> tuple[object, ...]:
    return tuple((name, account.weight, _options(account)) for name, account in line.components.items())


def _options(account: Account) -> str:
    return json.dumps(account.options, sort_keys=True)


def read_log(folder: Path) -> Log:
    """Read `log.jsonl` in a step's folder. Raises UserError when there is none."""
    path = folder / LOG
    if not path.is_file():
        raise UserError(
            f"{folder} has no {LOG}, which every training writes from its first step on. Name a step of the stage "
            "train, or the folder of one, finished or not."
        )
    steps: list[StepLine] = []
    looks: list[Look] = []
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = json.loads(raw)
                if "held_out" in line:
                    looks.append(_look(line))
                else:
                    steps.append(_step(line))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                found = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                return Log(path, steps, looks, f"line {number} of {path} and what follows cannot be read ({found})")
    return Log(path, steps, looks)


def _look(line: Mapping[str, Any]) -> Look:
    found = line["held_out"]
    teacher = found.get("teacher_nats_per_token")
    nats, best = float(found["nats_per_token"]), bool(found["best"])
    return Look(int(line["step"]), nats, best, float(teacher) if teacher is not None else None)


def _step(line: Mapping[str, Any]) -> StepLine:
    accounts = {
        name: Account(
            _number(found["raw"]),
            float(found["weight"]),
            float(found["weighted"]),
            _number(found.get("gradient_norm")),
            found.get("options") or {},
        )
        for name, found in line["components"].items()
    }
    return StepLine(
        step=int(line["step"]),
        total=float(line["total"]),
        learning_rate=float(line["learning_rate"]),
        gradient_norm=_number(line.get("gradient_norm")),
        epoch=_number(line.get("epoch")),
        source=str(line.get("source", "data")),
        components=accounts,
        num_steps=int(line["num_steps"]) if line.get("num_steps") is not None else None,
        finished_share=_number((line.get("sampled") or {}).get("finished_share")),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
