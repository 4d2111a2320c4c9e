"""Two things measured on the same items: their difference, and how much of a teacher's lead a student recovers.

The items that are hard for one are hard for the other, so the difference per resample varies far less than either
(Miller 2024, arXiv 2411.00640, on paired differences). Knows nothing of what was measured.
"""

from dataclasses import dataclass
from typing import Literal

from demiurgic.core.metric import Metric
from demiurgic.stats.bootstrap import (
    RESAMPLES,
    Measured,
    percentiles,
    resampled_values,
    standard_error,
)
from demiurgic.stats.intervals import TAIL, t_quantile

POWER = 0.8

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second, and the smallest true difference that such a comparison finds in 4 of 5 tries.

    `minimal_detectable` is None where the two agree on every item: nothing was seen to vary, so nothing can be said.
    """

    metric: Metric
    standard_error: float
    minimal_detectable: float | None


@dataclass(frozen=True, slots=True)
class Recovered:
    """The share of the teacher's lead over the control that the student recovers.

    `share` is None where the lead is not clearly positive: a quotient by something that may be 0 is no number.
    """

    share: Metric | None
    lead: Metric
    """How much better than the control the teacher is, in the metric's unit, positive for better."""


def difference(first: Measured, second: Measured, *, seed: int, resamples: int = RESAMPLES) -> Difference:
    """The first ratio minus the second, over the same items, with clusters drawn together.

    Of two estimates from gaps it is taken before `bootstrap.ratio` lets them end at 0, where it would be biased.
    Raises ValueError when the items differ, UserError for fewer than 2 clusters.
    """
    _same_items(first, second)
    first_R, second_R = resampled_values([first, second], seed=seed, resamples=resamples)
    differences_R = first_R - second_R
    low, high = percentiles(differences_R, num_clusters=first.num_clusters)
    error = standard_error(differences_R, num_clusters=first.num_clusters)
    metric = Metric(first.value - second.value, low, high, len(first.items))
    return Difference(metric, error, minimal_detectable(error, num_clusters=first.num_clusters) if error > 0 else None)


def minimal_detectable(standard_error: float, *, num_clusters: int) -> float:
    """The true difference that a two-sided test at 5 % finds with 80 % power: (t_0.975 + t_0.8) standard errors.

    The sample-size formula of Miller 2024 (arXiv 2411.00640, on power analysis) solved for the effect, with t for z.
    """
    degrees = num_clusters - 1
    return (t_quantile(1 - TAIL, degrees=degrees) + t_quantile(POWER, degrees=degrees)) * standard_error


def recovered_share(
    student: Measured, *, control: Measured, teacher: Measured, better: Better, seed: int, resamples: int = RESAMPLES
) -> Recovered:
    """(control - student) / (control - teacher) on the same items and draws: 0 is the control, 1 the teacher.

    Defined only where the teacher leads in every single draw. Raises ValueError when the items differ, UserError for
    fewer than 2 clusters.
    """
    _same_items(student, control)
    _same_items(student, teacher)
    student_R, control_R, teacher_R = resampled_values([student, control, teacher], seed=seed, resamples=resamples)
    sign = 1 if better == "lower" else -1
    leads_R = sign * (control_R - teacher_R)
    clusters, n = student.num_clusters, len(student.items)
    lead = Metric(sign * (control.value - teacher.value), *percentiles(leads_R, num_clusters=clusters), n)
    if leads_R.min() <= 0:
        return Recovered(None, lead)
    low, high = percentiles((control_R - student_R) / (control_R - teacher_R), num_clusters=clusters)
    value = (control.value - student.value) / (control.value - teacher.value)
    return Recovered(Metric(value, low, high, n), lead)


def _same_items(first: Measured, second: Measured) -> None:
    if list(first.items) != list(second.items) or list(first.clusters) != list(second.clusters):
        raise ValueError("a paired comparison wants both measured on the same items in the same order")
