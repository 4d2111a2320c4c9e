"""Means of noisy steps with their spread: what may be said of a curve, and what is noise. Knows no thresholds."""

import math
from collections.abc import Sequence
from statistics import fmean, median, variance

from demiurgic.core.metric import Metric
from demiurgic.diagnose.finding import NotCheckedError
from demiurgic.diagnose.log import Curve
from demiurgic.stats.intervals import TAIL, mean, t_quantile

FEWEST_STEPS = 40
"""Of a curve that a trend is read from: its quarters then have ten steps each, and t intervals of them are within a
tenth of their width at infinity."""


def change(before: Curve, after: Curve) -> Metric:
    """The mean of `after` minus the mean of `before` with Welch's t interval (Welch 1947, Biometrika 34, p. 28).

    Steps count as independent draws of batches; a trend inside of a part widens the interval. n is the number of steps.
    """
    n, m = len(before), len(after)
    if n < 2 or m < 2:
        raise NotCheckedError(f"means of {n} and {m} steps cannot be compared; wanted 2 or more each")
    value = fmean(after.values) - fmean(before.values)
    first, second = variance(before.values) / n, variance(after.values) / m
    if first + second == 0:
        return Metric(value, value, value, n + m)
    degrees = (first + second) ** 2 / (first**2 / (n - 1) + second**2 / (m - 1))
    half_width = t_quantile(1 - TAIL, degrees=degrees) * math.sqrt(first + second)
    return Metric(value, value - half_width, value + half_width, n + m)


def long_enough(curve: Curve) -> Curve:
    """The curve itself. Raises NotCheckedError for one too short."""
    if len(curve) < FEWEST_STEPS:
        raise NotCheckedError(f"the log has {len(curve)} comparable steps of the {curve.name}; wanted {FEWEST_STEPS}")
    return curve


def mean_of(values: Sequence[float]) -> Metric:
    """Student's t interval. Raises NotCheckedError for fewer than 2 values."""
    if len(values) < 2:
        raise NotCheckedError(f"the log has {len(values)} such steps; a mean with its spread wants 2")
    return mean(values)


def robust_spread(values: Sequence[float]) -> float:
    """The standard deviation by the median absolute deviation, which a few outliers do not move."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def shown(metric: Metric) -> str:
    """`0.123 [0.120, 0.126]`."""
    return f"{metric.value:.4g} [{metric.low:.4g}, {metric.high:.4g}]"


def percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def two_digits(value: float) -> float:
    """A value to write into a recipe: nobody needs the third digit of a guess."""
    return float(f"{value:.2g}")
