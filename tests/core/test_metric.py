import pytest

from demiurgic.core.metric import Metric, Summary


def test_a_summary_survives_json():
    summary = Summary({"loss": Metric(1.5, 1.4, 1.6, 20)}, {"note": "x", "parts": [1, {"a": None}]})
    assert Summary.from_json(summary.to_json()) == summary


@pytest.mark.parametrize(
    ("metric", "shown"),
    [
        (Metric.exact(12000), "12,000"),
        (Metric.exact(0.25), "0.25"),
        (Metric(1.5, 1.4, 1.625, 9), "1.500 [1.400, 1.625]"),
    ],
)
def test_a_metric_is_shown_with_its_interval(metric, shown):
    assert str(metric) == shown
