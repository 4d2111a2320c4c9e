"""From numbers to places on an axis, and the round numbers that are written beside it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Maps `low` to 0 and `high` to 1, linearly or by the logarithm; outside numbers stay outside."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def over(cls, values: Iterable[float], *, room: float = 0.05, log: bool = False) -> "Scale":
        """A scale that holds all finite values, with `room` (a share of their range) on both sides."""
        found = [value for value in values if math.isfinite(value) and (value > 0 or not log)] or [1.0]
        low, high = (math.log10(min(found)), math.log10(max(found))) if log else (min(found), max(found))
        alone = 0.5 if log else abs(high) * 0.1 or 1.0
        spare = (high - low) * room if high > low else alone
        low, high = low - spare, high + spare
        return cls(10**low, 10**high, log=True) if log else cls(low, high)

    def share(self, value: float) -> float:
        if self.log:
            value = max(value, self.low)  # 0 has no logarithm: it is drawn on the lower edge
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def ticks(self, count: int = 5) -> list[float]:
        """About `count` round numbers within the scale."""
        if self.log:
            return self._decades(count)
        raw = (self.high - self.low) / max(count, 1)
        magnitude = 10 ** math.floor(math.log10(raw))
        step = next(s * magnitude for s in STEPS if s * magnitude >= raw * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [position * step for position in range(first, last + 1)]

    def _decades(self, count: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        every = max(1, math.ceil((last - first) / count))
        factors = (1, 2, 5) if last - first <= 2 else (1,)
        values = [factor * 10.0**power for power in range(first, last + 1, every) for factor in factors]
        return [value for value in values if self.low <= value <= self.high]


def tick_text(value: float) -> str:
    """A round number as an axis shows it: `0`, `2,000`, `0.05`, `2.5e-4`."""
    if value == 0 or abs(value) < 1e-15:
        return "0"
    if abs(value) < 1e-3 or abs(value) >= 1e7:
        digits, _, power = f"{value:.2e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return f"{value:,.6f}".rstrip("0").rstrip(".")
