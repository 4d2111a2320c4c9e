"""Which windows a step sees."""

import pytest

from demiurgic.core.seeds import Seeds
from demiurgic.train.order import Order


@pytest.mark.parametrize(("num_windows", "batch"), [(10, 4), (7, 3), (3, 8), (5, 5)])
def test_every_window_is_seen_once_per_epoch_and_none_is_left_over(num_windows: int, batch: int):
    order = Order(num_windows, batch=batch, seeds=Seeds(1))
    seen = [window for step in range(3 * num_windows) for window in order.windows(step)]
    epochs = [seen[start : start + num_windows] for start in range(0, len(seen), num_windows)]
    assert len(epochs) == 3 * batch
    assert all(sorted(epoch) == list(range(num_windows)) for epoch in epochs)


def test_epochs_have_different_orders():
    order = Order(50, batch=50, seeds=Seeds(1))
    assert order.windows(0) != order.windows(1)


def test_a_step_depends_on_seed_and_position_alone():
    assert Order(50, batch=8, seeds=Seeds(1)).windows(9) == Order(50, batch=8, seeds=Seeds(1)).windows(9)
    assert Order(50, batch=8, seeds=Seeds(1)).windows(9) != Order(50, batch=8, seeds=Seeds(2)).windows(9)


def test_epochs_are_counted_in_windows():
    assert Order(10, batch=4, seeds=Seeds(1)).epochs(5) == 2.0
