"""Intervals of ratios whose items come in clusters: functions of one module, questions about one text.

Items of a cluster resemble one another, so whole clusters are drawn, never items (Miller 2024, "Adding Error Bars to
Evals", arXiv 2411.00640, on clustered standard errors). Knows nothing of what was measured.

Letters in array names: C clusters, K columns (each one sum per cluster), R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeAlias

from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric
from demiurgic.stats import intervals

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]

RESAMPLES = 4000
CELLS_AT_ONCE = 1_000_000
"""Cluster counts held in memory at a time: 8 MB, a few times over."""


@dataclass(frozen=True)
class Measured:
    """What was measured on each item: the estimate is sum(numerators) / sum(denominators).

    A mean over items has denominators 1; bits per byte has bits over bytes. With `gaps`, G signed numbers per item, the
    estimate is the sum over G of |the sum over items|, over sum(denominators), as a calibration error is.
    """

    items: Sequence[str]
    clusters: Sequence[str]
    numerators: Sequence[float]
    denominators: Sequence[float]
    gaps: Sequence[Sequence[float]] | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.items), len(self.clusters), len(self.numerators), len(self.denominators)}
        if len(sizes | ({len(self.gaps)} if self.gaps is not None else set())) != 1:
            raise ValueError(f"columns of different lengths: {sorted(sizes)}")
        if not self.items:
            raise UserError("A ratio over no items has no value. Measure on at least 1 item.")
        if min(self.denominators) <= 0:
            raise ValueError("an item with denominator 0 or less measures nothing: leave it out")

    @property
    def value(self) -> float:
        if self.gaps is None:
            return sum(self.numerators) / sum(self.denominators)
        sums: list[float] = [sum(column) for column in zip(*self.gaps, strict=True)]
        return sum(map(abs, sums)) / sum(self.denominators)

    @cached_property
    def columns(self) -> list[Sequence[float]]:
        """What is summed over items: a numerator or the gaps, then the denominators."""
        numerators = [self.numerators] if self.gaps is None else list(zip(*self.gaps, strict=True))
        return [*numerators, self.denominators]

    @cached_property
    def cluster_names(self) -> list[str]:
        return sorted(set(self.clusters))

    @property
    def num_clusters(self) -> int:
        return len(self.cluster_names)


def ratio(measured: Measured, *, seed: int, resamples: int = RESAMPLES) -> Metric:
    """sum(numerators) / sum(denominators) with the cluster-bootstrap interval; n is the number of items.

    Raises UserError for fewer than 2 clusters.
    """
    (values_R,) = resampled_values([measured], seed=seed, resamples=resamples)
    low, high = percentiles(values_R, num_clusters=measured.num_clusters)
    return Metric(measured.value, low, high, len(measured.items))


def share(measured: Measured, *, seed: int, resamples: int = RESAMPLES) -> Metric:
    """As `ratio`, for numerators between 0 and their denominators.

    Where every item agrees (all 0 or all 1) there is no spread to resample and the bootstrap would claim certainty;
    the interval is then Wilson's with each cluster counted as one thing, which supposes that a cluster's items are
    copies of one another and so errs on the wide side.
    """
    if measured.value not in (0.0, 1.0):
        return ratio(measured, seed=seed, resamples=resamples)
    refuse_one_cluster(measured.clusters)
    same = intervals.share(int(measured.value) * measured.num_clusters, measured.num_clusters)
    return Metric(measured.value, same.low, same.high, len(measured.items))


def resampled_values(measured: Sequence[Measured], *, seed: int, resamples: int = RESAMPLES) -> "list[Floats]":
    """The estimates [R] of several measurements, in the same draws of clusters.

    A draw repeats items, so that sums of gaps stray further from 0 than those of the sample, as the sample's do from
    the truth: estimates from gaps have the draws' mean excess over the sample's estimate taken off, and end at 0.
    """
    import numpy as np

    totals_RK = resampled_totals(measured, seed=seed, resamples=resamples)
    values: list[Floats] = []
    start = 0
    for one in measured:
        last = start + len(one.columns) - 1
        if one.gaps is None:
            values.append(totals_RK[:, start] / totals_RK[:, last])
        else:
            drawn_R = np.abs(totals_RK[:, start:last]).sum(axis=1) / totals_RK[:, last]
            values.append(np.maximum(drawn_R - max(drawn_R.mean() - one.value, 0.0), 0.0))
        start = last + 1
    return values


def resampled_totals(columns: Sequence[Measured], *, seed: int, resamples: int = RESAMPLES) -> "Floats":
    """Numerator and denominator totals of several measurements in `resamples` draws of C clusters with replacement.

    Every measurement is on the same clusters and sees the same draws. Returns [R, K], K = the columns of the first
    measurement (numerator and denominator, where it has no gaps), then of the second, ….
    """
    import numpy as np

    refuse_one_cluster(columns[0].clusters)
    if any(measured.cluster_names != columns[0].cluster_names for measured in columns):
        raise ValueError("measurements on different clusters cannot share draws")
    sums_CK = np.concatenate([_sums(measured) for measured in columns], axis=1)
    num_clusters = len(sums_CK)
    random = np.random.default_rng(seed)
    step = max(1, CELLS_AT_ONCE // num_clusters)
    blocks = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([_draws(random, size, num_clusters) @ sums_CK for size in blocks])


def _draws(random: "np.random.Generator", size: int, num_clusters: int) -> "Floats":
    """How often each cluster is in each of `size` draws: multinomial counts, made by counting."""
    import numpy as np

    drawn = random.integers(num_clusters, size=(size, num_clusters)) + num_clusters * np.arange(size)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=size * num_clusters)
    return counts.reshape(size, num_clusters).astype(np.float64)


def percentiles(values_R: "Floats", *, num_clusters: int) -> tuple[float, float]:
    """The ends of the 95 % interval: the expanded percentile interval.

    The plain percentile interval is too narrow for few clusters, by sqrt((C - 1) / C) and by Normal instead of t
    quantiles; the expanded one reads percentiles further out by just that (Hesterberg 2014, "What Teachers Should Know
    about the Bootstrap", arXiv 1411.5279; `ExpandProbs` of his R package `resample`). With many clusters they agree.
    """
    import numpy as np

    t = intervals.t_quantile(1 - intervals.TAIL, degrees=num_clusters - 1)
    tail = NormalDist().cdf(-t * (num_clusters / (num_clusters - 1)) ** 0.5)
    low, high = np.quantile(values_R, [tail, 1 - tail])
    return float(low), float(high)


def standard_error(values_R: "Floats", *, num_clusters: int) -> float:
    """The standard deviation over resamples, made unbiased for the number of clusters."""
    return float(values_R.std()) * float((num_clusters / (num_clusters - 1)) ** 0.5)


def refuse_one_cluster(clusters: Sequence[str]) -> None:
    """Raises UserError unless items lie in at least 2 clusters; `clusters` names that of each."""
    num_clusters = len(set(clusters))
    if num_clusters < 2:
        raise UserError(
            f"An interval wants at least 2 clusters, found {num_clusters} over {len(clusters)} items. "
            "Measure on more data, or cluster by something finer."
        )


def _sums(measured: Measured) -> "Floats":
    import numpy as np

    names = {name: position for position, name in enumerate(measured.cluster_names)}
    positions = np.array([names[cluster] for cluster in measured.clusters])
    columns = [np.asarray(column, dtype=np.float64) for column in measured.columns]
    return np.stack([np.bincount(positions, weights=column, minlength=len(names)) for column in columns], axis=1)
