"""The log of a training as curves. Knows the lines that the stage `train` writes, and says where one is damaged."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demiurgic.report.page.charts.lines import Point
from demiurgic.train.log import LOG


@dataclass(frozen=True)
class TrainingLog:
    """Curves over optimizer steps. `raw`, `weighted` and `weights` are by component; losses are in nats per token.

    `phases` are their names with their first steps; `best` is the point of `held_out` whose weights were kept;
    `problem` says what of the file could not be read.
    """

    total: Sequence[Point] = ()
    learning_rate: Sequence[Point] = ()
    raw: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    weighted: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    weights: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    phases: Mapping[str, int] = field(default_factory=dict)
    held_out: Sequence[Point] = ()
    best: Point | None = None
    problem: str = ""


def read_training_log(folder: Path) -> TrainingLog:
    """Read `log.jsonl` in a step's folder, up to the first line that is damaged."""
    path = folder / LOG
    if not path.is_file():
        return TrainingLog(problem=f"{LOG} is gone from the step's folder")
    reader = _Reader()
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                reader.take(json.loads(raw))
            except (ValueError, TypeError, KeyError, AttributeError):
                return reader.log(problem=f"{LOG} cannot be read from line {number} on")
    return reader.log()


class _Reader:
    def __init__(self) -> None:
        self.curves: dict[str, list[Point]] = {"total": [], "learning_rate": [], "held_out": []}
        self.raw: dict[str, list[Point]] = {}
        self.weighted: dict[str, list[Point]] = {}
        self.weights: dict[str, list[Point]] = {}
        self.phases: dict[str, int] = {}
        self.best: Point | None = None

    def take(self, line: Mapping[str, Any]) -> None:
        step = float(line["step"])
        if "held_out" in line:
            point = _point(step, line["held_out"]["nats_per_token"])
            self.curves["held_out"].append(point)
            self.best = point if line["held_out"]["best"] else self.best
            return
        self.curves["total"].append(_point(step, line["total"]))
        self.curves["learning_rate"].append(_point(step, line["learning_rate"]))
        if "phase" in line:
            self.phases.setdefault(str(line["phase"]["name"]), int(step))
        for name, component in line["components"].items():
            self.weights.setdefault(name, []).append(_point(step, component["weight"]))
            if component["raw"] is not None:  # a component of weight 0 is not called
                self.raw.setdefault(name, []).append(_point(step, component["raw"]))
                self.weighted.setdefault(name, []).append(_point(step, component["weighted"]))

    def log(self, *, problem: str = "") -> TrainingLog:
        curves = self.curves
        return TrainingLog(
            total=curves["total"],
            learning_rate=curves["learning_rate"],
            raw=self.raw,
            weighted=self.weighted,
            weights=self.weights,
            phases=self.phases,
            held_out=curves["held_out"],
            best=self.best,
            problem=problem,
        )


def _point(step: float, value: Any) -> Point:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} cannot be drawn")
    return Point(step, number)
