"""The learning rate of a step."""

import math

import pytest

from demiurgic.train.learning_rate import LearningRate

STEPS = 100


def rates(shape: str, *, warmup: int = 10, min_share: float = 0.1) -> list[float]:
    schedule = LearningRate(shape, 2.0, warmup, min_share)  # type: ignore[arg-type]
    return [schedule.at(step, num_steps=STEPS) for step in range(STEPS)]


@pytest.mark.parametrize("shape", ["cosine", "wsd", "constant"])
def test_warm_up_rises_linearly_from_its_first_part_to_the_peak(shape: str):
    assert rates(shape)[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])


def test_cosine_falls_along_half_a_cosine_to_its_floor():
    found = rates("cosine")
    assert found[10] == pytest.approx(2.0)
    middle = 10 + (STEPS - 1 - 10) * 0.5
    assert (found[int(middle)] + found[int(middle) + 1]) / 2 == pytest.approx(2.0 * (0.1 + 0.9 * 0.5), rel=1e-3)
    assert found[-1] == pytest.approx(0.2)


def test_wsd_stays_at_the_peak_and_cools_down_over_the_last_fifth():
    found = rates("wsd")
    assert found[10:80] == pytest.approx([2.0] * 70)
    assert found[81] == pytest.approx(2.0 * (0.1 + 0.9 * (1 - math.sqrt(1 / 19))))
    assert found[-1] == pytest.approx(0.2)


def test_constant_never_falls():
    assert rates("constant")[10:] == [2.0] * 90


def test_without_warm_up_the_first_step_has_the_peak():
    assert rates("cosine", warmup=0)[0] == 2.0


def test_a_training_shorter_than_its_warm_up_never_reaches_the_peak():
    schedule = LearningRate("cosine", 2.0, 10, 0.1)
    assert [schedule.at(step, num_steps=2) for step in range(2)] == pytest.approx([0.2, 0.4])


def test_one_step_after_the_warm_up_is_at_the_peak():
    assert LearningRate("cosine", 2.0, 10, 0.1).at(10, num_steps=11) == 2.0


def test_the_rate_of_the_warm_up_does_not_depend_on_the_end():
    schedule = LearningRate("cosine", 2.0, 10, 0.1)
    assert schedule.at(3, num_steps=None) == schedule.at(3, num_steps=50)
