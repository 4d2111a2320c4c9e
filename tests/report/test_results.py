import io
from collections.abc import Mapping

import pytest
from rich.console import Console

from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.report.results import results_table, verdict

BITS: Mapping[str, JSON] = {"suite": "bits_per_byte", "better": "lower", "unit": "bits per byte", "items": 1000}
PARSES: Mapping[str, JSON] = {"suite": "python_completion", "better": "higher", "unit": "share", "items": 200}
LINES: Mapping[str, JSON] = {"suite": "next_line", "better": "higher", "unit": "share", "items": 400}


def summary_of(*, bits: Metric, parses: Metric, recovered: Metric | None = None) -> Summary:
    """Three models, of which two are compared."""
    metrics = {
        "teacher.bits_per_byte": Metric(1.389, 1.361, 1.420, 1000),
        "student.bits_per_byte": Metric(1.428, 1.395, 1.460, 1000),
        "control.bits_per_byte": Metric(1.527, 1.490, 1.561, 1000),
        "student_vs_control.bits_per_byte": bits,
        "student_vs_control.parses": parses,
        "student_vs_control.exact_next_line": Metric(0.01, -0.02, 0.04, 400),
    }
    for name in ("teacher", "student", "control"):
        metrics[f"{name}.parses"] = Metric(0.52, 0.441, 0.598, 200)
        metrics[f"{name}.exact_next_line"] = Metric(0.11, 0.08, 0.142, 400)
    undefined: dict[str, JSON] = {}
    if recovered is None:
        undefined["student_vs_control"] = "teacher has no clear lead over control: 0.010 [-0.020, 0.040]"
    else:
        metrics["student_vs_control.recovered_share"] = recovered
    facts: dict[str, JSON] = {
        "models": ["teacher", "student", "control"],
        "compare": [["student", "control"]],
        "teacher": "teacher",
        "cluster_by": "module",
        "metrics": {
            "bits_per_byte": {**BITS, "clusters": 61},
            "parses": {**PARSES, "clusters": 48},
            "exact_next_line": {**LINES, "clusters": 55},
        },
        "minimal_detectable_difference": {
            "student_vs_control": {"bits_per_byte": 0.018, "parses": 0.061, "exact_next_line": 0.045}
        },
        "recovered_share": {"of": "bits_per_byte", "undefined": undefined},
        "training": {
            "teacher": {"tokens": 1_280_000, "steps": 1250, "train_seconds": 212.34},
            "student": {"tokens": 409_600, "steps": 400, "train_seconds": 61.23},
            "control": {},
        },
    }
    return Summary(metrics, facts)


ALL_WELL = summary_of(
    bits=Metric(-0.099, -0.112, -0.087, 1000),
    parses=Metric(0.08, 0.03, 0.13, 200),
    recovered=Metric(0.72, 0.64, 0.8, 1000),
)


@pytest.mark.parametrize(
    ("low", "high", "better", "said"),
    [
        (-0.2, -0.1, "lower", "better"),
        (-0.2, -0.1, "higher", "worse"),
        (0.1, 0.2, "lower", "worse"),
        (0.1, 0.2, "higher", "better"),
        (-0.1, 0.1, "lower", "no evidence of change"),
        (0.0, 0.1, "higher", "no evidence of change"),
    ],
)
def test_the_verdict_minds_which_direction_is_better(low: float, high: float, better: str, said: str):
    assert verdict(Metric((low + high) / 2, low, high, 100), better=better) == said


def test_the_table_fits_into_80_columns_of_plain_text():
    text = str(results_table(ALL_WELL))
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


def test_every_model_stands_with_its_intervals_and_the_header_with_n():
    text = str(results_table(ALL_WELL))
    assert "n = 1,000" in text
    assert "lower is better" in text
    assert all(cell in text for cell in ("1.389 [1.361, 1.420]", "1.527 [1.490, 1.561]", "0.520 [0.441, 0.598]"))


def test_equal_tokens_and_equal_seconds_can_be_seen():
    lines = [line.split() for line in str(results_table(ALL_WELL)).splitlines()]
    assert lines[lines.index(["training", "tokens", "steps", "seconds"]) + 1 :][:3] == [
        ["teacher", "1,280,000", "1,250", "212.3"],
        ["student", "409,600", "400", "61.2"],
        ["control", "-", "-", "-"],
    ]


def test_models_of_which_none_was_trained_have_no_table_of_training():
    untrained = Summary(ALL_WELL.metrics, {**ALL_WELL.facts, "training": {"teacher": {}}})
    assert "training" not in str(results_table(untrained))


def test_a_comparison_says_in_words_what_it_found():
    lines = {line.split("  ")[1]: line for line in str(results_table(ALL_WELL)).splitlines() if line.startswith("  ")}
    assert lines["bits per byte"].endswith("better")
    assert lines["parses"].endswith("better")
    assert lines["exact next line"].endswith("no evidence of change (sees ±0.045)")


def test_the_recovered_share_names_its_lead():
    text = " ".join(str(results_table(ALL_WELL)).split())
    assert "recovers 72 % [64, 80] of the lead in bits per byte that teacher has over control" in text


def test_a_share_that_is_undefined_says_why():
    text = str(results_table(summary_of(bits=Metric(0.1, 0.05, 0.2, 9), parses=Metric(0, 0, 0, 9))))
    assert "no share of a lead: teacher has no clear lead over control" in text


def test_a_narrow_terminal_gets_the_interval_below_the_value():
    narrow = io.StringIO()
    Console(file=narrow, width=60, color_system=None).print(results_table(ALL_WELL))
    assert max(len(line.rstrip()) for line in narrow.getvalue().splitlines()) <= 60
    assert "\n" + " " * 10 in narrow.getvalue()
    assert "[1.361, 1.420]" in narrow.getvalue()


def test_a_terminal_sees_the_verdict_in_colour():
    terminal = io.StringIO()
    Console(file=terminal, width=100, force_terminal=True, color_system="standard").print(results_table(ALL_WELL))
    assert "\x1b[32mbetter" in terminal.getvalue()


def test_scores_of_another_sort_are_listed():
    text = str(results_table(Summary({"kl_to_source": Metric(0.002, 0.001, 0.003, 50), "layers": Metric.exact(12)})))
    assert text.splitlines() == ["kl_to_source  0.002 [0.001, 0.003]  n = 50", "layers        12"]
