"""A number with its neighbours: the interval it lies in and how many things it was measured on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


@dataclass(frozen=True, slots=True)
class Metric:
    """A value, its 95 % interval `[low, high]`, and `n`, the number of independent things behind it.

    A count that was taken, not estimated, is `Metric.exact`: its interval is a point and its n is None.
    """

    value: float
    low: float
    high: float
    n: int | None = None

    @classmethod
    def exact(cls, value: float) -> "Metric":
        return cls(value, value, value)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Metric":
        return cls(float(data["value"]), float(data["low"]), float(data["high"]), data["n"])

    def to_json(self) -> dict[str, JSON]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}

    def __str__(self) -> str:
        if self.low == self.high == self.value:
            return f"{self.value:,.0f}" if float(self.value).is_integer() else f"{self.value:.4g}"
        if 0 < abs(self.value) < 1e-4:
            return f"{self.value:.2e} [{self.low:.2e}, {self.high:.2e}]"
        digits = 3 if abs(self.value) < 100 else 1
        half_width = (self.high - self.low) / 2
        # Half an interval is at least 1 in the last digit; one so narrow that it is rounding error shows none.
        if half_width > 1e-12 * abs(self.value) and math.isfinite(half_width):
            digits = max(digits, -math.floor(math.log10(half_width)))
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a step has to say of its result: metrics a gate can bound, and plain facts."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    facts: Mapping[str, JSON] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Summary":
        return cls({name: Metric.from_json(m) for name, m in data["metrics"].items()}, dict(data["facts"]))

    def to_json(self) -> dict[str, JSON]:
        return {"metrics": {name: m.to_json() for name, m in self.metrics.items()}, "facts": dict(self.facts)}
