import pytest

from demiurgic.core.metric import Metric, Summary
from demiurgic.run.gates import Gate, judge

SUMMARY = Summary(
    {
        "win": Metric(0.8, 0.7, 0.9, 100),
        "kl": Metric(0.01, 0.005, 0.03, 100),
        "bad": Metric(float("nan"), 0, 0, 1),
        "zero": Metric(0, 0, 0, 9),
    }
)


@pytest.mark.parametrize(
    ("gate", "passes"),
    [
        ({"metric": "win", "min": 0.7}, True),
        ({"metric": "win", "min": 0.75}, False),
        ({"metric": "win", "min": 0.75, "on": "value"}, True),
        ({"metric": "kl", "max": 0.02}, False),
        ({"metric": "kl", "max": 0.02, "on": "value"}, True),
        ({"metric": "kl", "min": 0.001, "max": 0.03}, True),
        ({"metric": "bad", "max": 1.0, "on": "value"}, False),
        ({"metric": "zero", "max": 0}, True),
        ({"metric": "zero", "below": 0}, False),
        ({"metric": "zero", "above": 0}, False),
        ({"metric": "win", "above": 0.69}, True),
        ({"metric": "unheard of", "min": 0}, False),
    ],
)
def test_the_bad_end_of_the_interval_is_tested(gate, passes):
    assert judge(SUMMARY, [Gate.model_validate(gate)])[0].passed is passes


def test_a_verdict_says_what_it_looked_at():
    verdict = judge(SUMMARY, [Gate(metric="win", min=0.75)])[0]
    assert str(verdict) == "win = 0.8 [0.7, 0.9], wanted interval >= 0.75: missed"
