"""Intervals of ratios whose items come in clusters: functions of one module, questions about one text.

Items of a cluster resemble one another, so whole clusters are drawn, never items (Miller 2024, "Adding Error Bars to
Evals", arXiv 2411.00640, on clustered standard errors). Knows nothing of what was measured.

Letters in array names: C clusters, K columns (each one sum per cluster), M measurements, R resamples.
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

    A mean over items has denominators 1; bits per byte has bits over bytes. With `gaps`, G signed numbers per item, it
    is the sum over G of |the sum over items|, over sum(denominators), as a calibration error is: an estimate of that,
    which is 0 on average where the truth is 0, and so now and then below it (`distances`).
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
        import numpy as np

        return float(estimates(self, np.ones((1, self.num_clusters)))[0])

    @cached_property
    def sums_CK(self) -> "Floats":
        """Of each cluster, in the order of `cluster_names`: sums of numerators or gaps, then of denominators."""
        import numpy as np

        numerators = [self.numerators] if self.gaps is None else list(zip(*self.gaps, strict=True))
        names = {name: position for position, name in enumerate(self.cluster_names)}
        positions = np.array([names[cluster] for cluster in self.clusters])
        columns = [np.asarray(column, dtype=np.float64) for column in (*numerators, self.denominators)]
        return np.stack([np.bincount(positions, weights=column, minlength=len(names)) for column in columns], axis=1)

    @cached_property
    def cluster_names(self) -> list[str]:
        return sorted(set(self.clusters))

    @property
    def num_clusters(self) -> int:
        return len(self.cluster_names)


def ratio(measured: Measured, *, seed: int, resamples: int = RESAMPLES) -> Metric:
    """sum(numerators) / sum(denominators) with the cluster-bootstrap interval; n is the number of items.

    An estimate from gaps ends at 0, as what it estimates does. Raises UserError for fewer than 2 clusters.
    """
    (values_R,) = resampled_values([measured], seed=seed, resamples=resamples)
    low, high = percentiles(values_R, num_clusters=measured.num_clusters)
    least = 0.0 if measured.gaps is not None else float("-inf")
    value, low, high = (max(end, least) for end in (measured.value, low, high))
    return Metric(value, low, high, len(measured.items))


def share(measured: Measured, *, seed: int, resamples: int = RESAMPLES) -> Metric:
    """As `ratio`, for numerators between 0 and their denominators.

    Where every item agrees (all 0 or all 1) there is no spread to resample and the bootstrap would claim certainty;
    the interval is then Wilson's with each cluster counted as one thing, which supposes that a cluster's items are
    copies of one another and so errs on the wide side.
    """
    common = sum(measured.numerators) / sum(measured.denominators)
    if common not in (0.0, 1.0):
        return ratio(measured, seed=seed, resamples=resamples)
    refuse_one_cluster(measured.clusters)
    same = intervals.share(int(common) * measured.num_clusters, measured.num_clusters)
    return Metric(common, same.low, same.high, len(measured.items))


def resampled_values(measured: Sequence[Measured], *, seed: int, resamples: int = RESAMPLES) -> "Floats":
    """The estimates [M, R] of several measurements in `resamples` draws of C clusters with replacement.

    Every measurement is on the same clusters and sees the same draws. Raises UserError for fewer than 2 clusters.
    """
    import numpy as np

    names = measured[0].cluster_names
    refuse_one_cluster(measured[0].clusters)
    if any(one.cluster_names != names for one in measured):
        raise ValueError("measurements on different clusters cannot share draws")
    random = np.random.default_rng(seed)
    step = max(1, CELLS_AT_ONCE // len(names))
    blocks = [min(step, resamples - start) for start in range(0, resamples, step)]
    drawn = (_draws(random, size, len(names)) for size in blocks)
    values_MR: Floats = np.concatenate([[estimates(one, draws_RC) for one in measured] for draws_RC in drawn], axis=1)
    return values_MR


def estimates(measured: Measured, draws_RC: "Floats") -> "Floats":
    """The estimate [R] in each draw; a draw counts how often each cluster is in it."""
    import numpy as np

    *columns, denominators_C = measured.sums_CK.T
    if measured.gaps is None:
        values_R: Floats = draws_RC @ columns[0]
    else:
        values_R = np.sum([distances(draws_RC * gaps_C) for gaps_C in columns], axis=0)
    values_R /= draws_RC @ denominators_C
    return values_R


def distances(gaps_RC: "Floats") -> "Floats":
    """How far the sums over clusters lie from 0: each cluster's gap, signed as the sum of all *others* is.

    |sum| itself is too large on average where gaps are noise about 0, and larger still in draws; the bias is less for
    an uncalibrated model than for a calibrated one, so it does not cancel in their difference either (Kumar et al.
    2019, arXiv 1909.10155, on the bias). The others' sign is independent of a cluster's own noise: noise about 0 comes
    to 0 on average, and where the sign is sure this is |sum|. A draw's copies of a cluster are left out together, since
    each holds the same noise.
    """
    import numpy as np

    others_RC = gaps_RC.sum(axis=1, keepdims=True) - gaps_RC
    distances_R: Floats = np.einsum("rc,rc->r", gaps_RC, np.sign(others_RC))
    return distances_R


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
