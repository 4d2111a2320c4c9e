"""Intervals for numbers of a whole sample that are no mean: entropy, distinct-n. By leaving out a part at a time.

The delete-a-group jackknife (Kott 2001, Journal of Official Statistics 17, p. 521): the sample falls into groups at
random, the number is taken without each, and their spread gives the standard error.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from math import sqrt
from operator import add

from demiurgic.core.metric import Metric
from demiurgic.curate.statistics import Statistics
from demiurgic.stats.intervals import TAIL, t_quantile

GROUPS = 20


def jackknifed(groups: Sequence[Statistics], number: Callable[[Statistics], float | None]) -> Metric | None:
    """A number of all groups together with its 95 % interval; n is the number of rows. None where there is none."""
    whole = reduce(add, groups)
    value = number(whole)
    if value is None:
        return None
    without = [number(reduce(add, [*groups[:left], *groups[left + 1 :]])) for left in range(len(groups))]
    known = [found for found in without if found is not None]
    if len(known) < 2:
        return None
    mean = sum(known) / len(known)
    error = sqrt((len(known) - 1) / len(known) * sum((found - mean) ** 2 for found in known))
    half_width = t_quantile(1 - TAIL, degrees=len(known) - 1) * error
    return Metric(value, value - half_width, value + half_width, whole.num_rows)
