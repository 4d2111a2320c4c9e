"""A metric that sums |sums over items|: calibration errors and their intervals."""

from statistics import fmean

import numpy as np
import pytest

from demiurgic.core.errors import UserError
from demiurgic.stats.bootstrap import Measured, ratio, share
from demiurgic.stats.paired import difference

BINS = 5


def unsure(*, seed: int, off: float, num_clusters: int = 40, rows: int | None = None) -> Measured:
    """Rows of 50 to 149 tokens of a model that is too sure by `off` in every bin; equal `rows`, equal lengths."""
    random = np.random.default_rng(seed)
    lengths = np.random.default_rng(seed if rows is None else rows).integers(50, 150, num_clusters)
    names, gaps, sizes = [], [], []
    for cluster, size in enumerate(lengths.tolist()):
        confidence = off + (1 - off) * random.random(size)
        right = random.random(size) < confidence - off
        bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
        names.append(f"row-{cluster}")
        gaps.append(np.bincount(bins, weights=right - confidence, minlength=BINS).tolist())
        sizes.append(float(size))
    return Measured(names, names, [sum(map(abs, row)) for row in gaps], sizes, gaps)


def test_a_cluster_counts_with_the_sign_of_the_others() -> None:
    names = ["a", "b", "c"]
    measured = Measured(names, names, [0.5, 0.4, 0.1], [2, 3, 5], [[0.5, 0.0], [-0.1, 0.3], [0.1, 0.0]])
    first, second = 0.5 * 0 + -0.1 * +1 + 0.1 * +1, 0.3 * 0  # the others: 0, 0.6, 0.4; and nothing but b in the second
    assert measured.value == pytest.approx((first + second) / 10)


def test_where_the_sign_is_sure_the_value_is_the_plain_error() -> None:
    measured = unsure(seed=1, off=0.3)
    assert measured.gaps is not None
    plain = sum(abs(sum(column)) for column in zip(*measured.gaps, strict=True)) / sum(measured.denominators)
    assert measured.value == pytest.approx(plain, rel=1e-3)


def test_items_of_one_cluster_are_left_out_together() -> None:
    alone = Measured(["1", "2", "3"], ["a", "a", "b"], [1, 1, 1], [1, 1, 1], [[0.2], [0.3], [0.1]])
    joined = Measured(["1", "3"], ["a", "b"], [1, 1], [2, 1], [[0.5], [0.1]])
    assert alone.value == pytest.approx(joined.value)


def test_a_calibrated_model_has_no_error_on_average() -> None:
    mean = fmean(unsure(seed=seed, off=0.0).value for seed in range(200))
    assert abs(mean) < 0.002  # of |sums| it would be 0.011


@pytest.mark.parametrize("off", [0.0, 0.02, 0.15])
def test_most_intervals_hold_the_true_error(off: float) -> None:
    held = 0
    for seed in range(100):
        metric = ratio(unsure(seed=seed, off=off), seed=seed, resamples=400)
        held += metric.low <= off <= metric.high
    assert held >= 88  # of a true 95 %, fewer are a sign in one of a thousand tries


@pytest.mark.parametrize(("first", "second"), [(0.05, 0.0), (0.1, 0.02), (0.0, 0.0)])
@pytest.mark.parametrize("num_clusters", [20, 60])
def test_most_intervals_hold_the_true_difference(first: float, second: float, num_clusters: int) -> None:
    held, too_low = 0, 0
    for seed in range(100):
        pair = [
            unsure(seed=seed + start, off=off, num_clusters=num_clusters, rows=seed)
            for start, off in ((0, first), (1000, second))
        ]
        metric = difference(*pair, seed=seed, resamples=400).metric
        held += metric.low <= first - second <= metric.high
        too_low += metric.high < first - second
    assert held >= 88
    assert too_low <= 8  # a worse model is not made out to be a better one more often than by chance


def test_an_interval_holds_its_own_value_and_ends_at_0() -> None:
    for seed in range(20):
        metric = ratio(unsure(seed=seed, off=0.0), seed=seed, resamples=400)
        assert 0 <= metric.low <= metric.value <= metric.high


def test_a_pair_is_told_apart_on_the_same_draws() -> None:
    sure, modest = unsure(seed=1, off=0.3), unsure(seed=1, off=0.0)
    metric = difference(sure, modest, seed=0).metric
    assert metric.value == pytest.approx(sure.value - modest.value)
    assert metric.low > 0.2


def test_a_model_without_any_gap_is_not_called_certain() -> None:
    names = [str(number) for number in range(10)]
    metric = share(Measured(names, names, [0.0] * 10, [5.0] * 10, [[0.0]] * 10), seed=0)
    assert (metric.value, metric.low) == (0, 0)
    assert metric.high == pytest.approx(0.278, abs=1e-3)  # Wilson's, of 0 of 10


def test_the_same_on_both_sides_differs_by_nothing() -> None:
    measured = unsure(seed=2, off=0.1)
    metric = difference(measured, measured, seed=0).metric
    assert (metric.low, metric.value, metric.high) == (0, 0, 0)


def test_gaps_of_other_items_are_our_mistake() -> None:
    with pytest.raises(ValueError, match="columns of different lengths"):
        Measured(["a", "b"], ["a", "b"], [1, 1], [1, 1], [[0.5]])


def test_no_items_have_no_error() -> None:
    with pytest.raises(UserError, match="no items"):
        Measured([], [], [], [], [])
