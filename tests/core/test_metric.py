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
        (Metric(0.002, 0.001, 0.003, 9), "0.002 [0.001, 0.003]"),
        (Metric(0.0002, 0.0001, 0.0003, 9), "0.0002 [0.0001, 0.0003]"),
        (Metric(1.5, 1.49995, 1.50005, 9), "1.50000 [1.49995, 1.50005]"),
        (Metric(0.0, 0.0, 0.0004, 9), "0.0000 [0.0000, 0.0004]"),
        (Metric(1.65e-13, 1.57e-13, 1.75e-13, 24), "1.65e-13 [1.57e-13, 1.75e-13]"),
        (Metric(1234.5, 1200, 1300, 9), "1234.5 [1200.0, 1300.0]"),
        (Metric(1234.5, 1234.48, 1234.52, 9), "1234.50 [1234.48, 1234.52]"),
        (Metric(0.5, 0.5, 0.5 + 1e-16, 9), "0.500 [0.500, 0.500]"),
        (Metric(0.5, float("-inf"), float("inf"), 9), "0.500 [-inf, inf]"),
    ],
)
def test_a_metric_is_shown_with_its_interval(metric, shown):
    assert str(metric) == shown
