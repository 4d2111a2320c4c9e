"""Go or no-go as data: bounds on the metrics of a step's summary, judged again at every run."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from demiurgic.core.metric import JSON, Metric, Summary


class Gate(BaseModel):
    """A bound on a metric: `{metric: kl_to_source, max: 0.02}`.

    `min` and `max` may be reached, `above` and `below` may not. The bad end of the interval is tested (its low end
    against `min` and `above`, its high end against `max` and `below`), or the value itself with `on: value`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    metric: str
    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None
    on: Literal["interval", "value"] = "interval"

    @model_validator(mode="after")
    def _bounded(self) -> "Gate":
        if not self.bounds:
            raise ValueError("a gate wants at least one of min, max, above and below")
        return self

    @property
    def bounds(self) -> list[tuple[str, float]]:
        signs = ((">=", self.min), ("<=", self.max), (">", self.above), ("<", self.below))
        return [(sign, bound) for sign, bound in signs if bound is not None]


HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a gate let a step pass, and the numbers it looked at; `metric` is None where the step has no such one."""

    gate: Gate
    metric: Metric | None
    passed: bool

    def __str__(self) -> str:
        wanted = " and ".join(f"{sign} {bound:g}" for sign, bound in self.gate.bounds)
        if self.metric is None:
            return f"{self.gate.metric} is not known, wanted {wanted}: missed"
        shown = f"{self.metric.value:.4g}"
        if self.gate.on == "interval":
            shown += f" [{self.metric.low:.4g}, {self.metric.high:.4g}]"
        return f"{self.gate.metric} = {shown}, wanted {self.gate.on} {wanted}: {'passed' if self.passed else 'missed'}"

    def to_json(self) -> dict[str, JSON]:
        return {**self.gate.model_dump(mode="json", exclude_none=True), "passed": self.passed, "says": str(self)}


def judge(summary: Summary, gates: Sequence[Gate]) -> list[Verdict]:
    """One verdict per gate. NaN meets no bound, and what was not measured passes none."""
    return [_verdict(summary.metrics.get(gate.metric), gate) for gate in gates]


def _verdict(metric: Metric | None, gate: Gate) -> Verdict:
    if metric is None:
        return Verdict(gate, None, passed=False)
    low, high = (metric.value, metric.value) if gate.on == "value" else (metric.low, metric.high)
    ends = {">=": low, ">": low, "<=": high, "<": high}
    return Verdict(gate, metric, all(HOLDS[sign](ends[sign], bound) for sign, bound in gate.bounds))
