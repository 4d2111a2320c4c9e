"""Go or no-go as data: bounds on the metrics of a step's summary, judged again at every run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

from demiurgic.core.errors import UserError, unknown
from demiurgic.core.metric import JSON, Metric, Summary


class Gate(BaseModel):
    """A bound on a metric: `{metric: kl_to_source, max: 0.02}`.

    The bad end of the interval is tested (its low end against `min`, its high end against `max`), or the value itself
    with `on: value`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    min: float | None = None
    max: float | None = None
    on: Literal["interval", "value"] = "interval"

    @model_validator(mode="after")
    def _bounded(self) -> "Gate":
        if self.min is None and self.max is None:
            raise ValueError("a gate wants min, max or both")
        return self


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a gate let a step pass, and the numbers it looked at."""

    gate: Gate
    metric: Metric
    passed: bool

    def __str__(self) -> str:
        gate, metric = self.gate, self.metric
        limits = ((">=", gate.min), ("<=", gate.max))
        bounds = [f"{sign} {limit:g}" for sign, limit in limits if limit is not None]
        what = "value" if gate.on == "value" else "interval"
        shown = (
            f"{metric.value:.4g}" if gate.on == "value" else f"{metric.value:.4g} [{metric.low:.4g}, {metric.high:.4g}]"
        )
        return f"{gate.metric} = {shown}, wanted {what} {' and '.join(bounds)}: {'passed' if self.passed else 'missed'}"

    def to_json(self) -> dict[str, JSON]:
        return {**self.gate.model_dump(mode="json", exclude_none=True), "passed": self.passed, "says": str(self)}


def judge(summary: Summary, gates: Sequence[Gate]) -> list[Verdict]:
    """One verdict per gate; UserError when the summary has no such metric. A bound is met by equality, never by NaN."""
    verdicts = []
    for gate in gates:
        if gate.metric not in summary.metrics:
            raise UserError(f"A gate cannot be judged: {unknown('metric', gate.metric, summary.metrics)}")
        metric = summary.metrics[gate.metric]
        low, high = (metric.value, metric.value) if gate.on == "value" else (metric.low, metric.high)
        passed = (gate.min is None or low >= gate.min) and (gate.max is None or high <= gate.max)
        verdicts.append(Verdict(gate, metric, passed))
    return verdicts
