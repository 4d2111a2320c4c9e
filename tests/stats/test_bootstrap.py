from dataclasses import replace

import pytest

from demiurgic.core.errors import UserError
from demiurgic.stats import bootstrap
from demiurgic.stats.bootstrap import Measured, ratio, share
from simulated import simulated_pair


@pytest.mark.parametrize("num_clusters", [5, 30])
def test_about_95_of_100_intervals_hold_the_true_ratio(num_clusters: int) -> None:
    held = 0
    for seed in range(300):
        metric = ratio(simulated_pair(seed=seed, num_clusters=num_clusters, first=1.5)[0], seed=seed, resamples=1000)
        held += metric.low <= 1.5 <= metric.high
    # 300 tries of a true 95 % hold within 92.5 % to 97.5 % nineteen times in twenty; few clusters cost a little more.
    assert 0.90 <= held / 300 <= 0.98


def test_drawing_items_instead_of_clusters_would_claim_too_much() -> None:
    clustered = simulated_pair(seed=1)[0]
    each_alone = replace(clustered, clusters=clustered.items)
    wide, narrow = ratio(clustered, seed=0), ratio(each_alone, seed=0)
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_value_is_the_ratio_of_sums_and_n_counts_items() -> None:
    metric = ratio(Measured(["a", "b", "c"], ["x", "x", "y"], [1, 2, 9], [1, 1, 2]), seed=0)
    assert (metric.value, metric.n) == (12 / 4, 3)


def test_the_same_seed_gives_the_same_interval() -> None:
    measured = simulated_pair(seed=3)[0]
    assert ratio(measured, seed=5) == ratio(measured, seed=5)
    assert ratio(measured, seed=5) != ratio(measured, seed=6)


def test_the_order_of_items_does_not_move_the_interval() -> None:
    measured = simulated_pair(seed=3)[0]
    columns = (measured.items, measured.clusters, measured.numerators, measured.denominators)
    backwards = Measured(*(list(reversed(column)) for column in columns))
    turned, straight = ratio(backwards, seed=5), ratio(measured, seed=5)
    assert (turned.low, turned.high) == (pytest.approx(straight.low), pytest.approx(straight.high))


def test_blocks_of_draws_do_not_change_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 100)
    measured = simulated_pair(seed=3, num_clusters=30)[0]
    assert bootstrap.resampled_values([measured], seed=0, resamples=50).shape == (1, 50)


def test_one_cluster_has_no_interval() -> None:
    with pytest.raises(UserError, match="at least 2 clusters, found 1 over 3 items"):
        ratio(Measured(["a", "b", "c"], ["x", "x", "x"], [1, 0, 1], [1, 1, 1]), seed=0)


def test_no_items_have_no_ratio() -> None:
    with pytest.raises(UserError, match="no items"):
        Measured([], [], [], [])


def test_a_share_whose_items_all_agree_still_has_an_interval() -> None:
    items = [f"item-{i}" for i in range(40)]
    clusters = [f"cluster-{i % 20}" for i in range(40)]
    none_right = share(Measured(items, clusters, [0.0] * 40, [1.0] * 40), seed=0)
    assert (none_right.value, none_right.low, none_right.n) == (0.0, 0.0, 40)
    assert none_right.high == pytest.approx(0.1611, abs=1e-4)  # Wilson's for 0 of 20 clusters


def test_a_share_whose_items_differ_is_resampled() -> None:
    measured = Measured(["a", "b", "c"], ["x", "y", "z"], [1, 0, 1], [1, 1, 1])
    assert share(measured, seed=0) == ratio(measured, seed=0)
