"""A metric that sums |sums over items|: calibration errors and their intervals."""

import numpy as np
import pytest

from demiurgic.core.errors import UserError
from demiurgic.stats.bootstrap import Measured, ratio
from demiurgic.stats.paired import difference

BINS = 5


def unsure(*, seed: int, off: float, num_clusters: int = 40) -> Measured:
    """Rows of 50 to 149 tokens of a model that is too sure by `off` in every bin."""
    random = np.random.default_rng(seed)
    names, gaps, sizes = [], [], []
    for cluster in range(num_clusters):
        size = int(random.integers(50, 150))
        confidence = off + (1 - off) * random.random(size)
        right = random.random(size) < confidence - off
        bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
        names.append(f"row-{cluster}")
        gaps.append(np.bincount(bins, weights=right - confidence, minlength=BINS).tolist())
        sizes.append(float(size))
    return Measured(names, names, [sum(map(abs, row)) for row in gaps], sizes, gaps)


def test_the_value_is_the_sum_of_the_bins_gaps_over_all_tokens() -> None:
    measured = Measured(["a", "b"], ["a", "b"], [0.5, 0.4], [2, 3], [[0.5, 0.0], [-0.1, 0.3]])
    assert measured.value == pytest.approx((abs(0.5 - 0.1) + 0.3) / 5)


def test_errors_of_one_bin_in_different_items_make_up_for_each_other() -> None:
    names = ["a", "b"]
    assert Measured(names, names, [1, 1], [10, 10], [[1.0], [-1.0]]).value == 0


def test_most_intervals_hold_the_true_error() -> None:
    held = 0
    for seed in range(100):
        metric = ratio(unsure(seed=seed, off=0.15), seed=seed, resamples=400)
        held += metric.low <= 0.15 <= metric.high
    assert held >= 88  # of a true 95 %, fewer are a sign in one of a thousand tries


def test_an_interval_holds_its_own_value_though_draws_stray_further() -> None:
    for seed in range(20):
        metric = ratio(unsure(seed=seed, off=0.0), seed=seed, resamples=400)
        assert 0 <= metric.low <= metric.value <= metric.high


def test_a_pair_is_told_apart_on_the_same_draws() -> None:
    sure, modest = unsure(seed=1, off=0.3), unsure(seed=1, off=0.0)
    metric = difference(sure, modest, seed=0).metric
    assert metric.value == pytest.approx(sure.value - modest.value)
    assert metric.low > 0.2


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
