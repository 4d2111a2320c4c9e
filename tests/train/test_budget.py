"""How many steps to train."""

import pytest

from demiurgic.train.budget import steps_of_epochs, steps_within


@pytest.mark.parametrize(
    ("epochs", "num_windows", "batch", "steps"),
    [(1, 10, 4, 3), (2, 10, 4, 5), (0.5, 8, 4, 1), (0.1, 30, 1, 3), (0.01, 10, 4, 1)],
)
def test_epochs_are_rounded_up_to_whole_steps(epochs: float, num_windows: int, batch: int, steps: int):
    assert steps_of_epochs(epochs, num_windows=num_windows, batch=batch) == steps


def test_the_pace_is_unknown_before_step_30():
    assert steps_within(100.0, [0.5] * 29) is None


def test_the_rest_of_the_time_is_filled_at_the_median_pace_of_steps_11_to_30():
    spent = [2.0] * 10 + [0.5] * 19 + [30.0]
    left = 100.0 - sum(spent)
    assert steps_within(100.0, spent) == 30 + int(left / 0.5)


def test_a_budget_that_is_gone_during_the_first_steps_ends_there():
    assert steps_within(2.0, [0.5] * 3) is None
    assert steps_within(2.0, [0.5] * 4) == 4


def test_slow_steps_that_spent_everything_leave_none_to_train():
    assert steps_within(10.0, [0.1] * 29 + [8.0]) == 30
