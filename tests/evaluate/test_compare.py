from collections.abc import Sequence

import pytest

from demiurgic.core.metric import Summary
from demiurgic.evaluate.compare import Table, summarise
from demiurgic.stats.bootstrap import Measured
from demiurgic.stats.paired import difference
from simulated import simulated_pair

CONTROL, TEACHER = simulated_pair(seed=4, first=1.6, second=1.4)
STUDENT = simulated_pair(seed=4, first=1.6, second=1.45)[1]


def bits(**models: Measured) -> Table:
    return Table("bits_per_byte", "bits_per_byte", "lower", "bits per byte", models, {"no answer": 3})


def shares(**right: Sequence[float]) -> Table:
    """Each model's verdicts over items in ten clusters."""
    models = {
        name: Measured(
            [f"item-{i}" for i in range(len(marks))],
            [f"cluster-{i % 10}" for i in range(len(marks))],
            marks,
            [1.0] * len(marks),
        )
        for name, marks in right.items()
    }
    return Table("parses", "python_completion", "higher", "share", models)


def summary(*tables: Table, compare: Sequence[tuple[str, str]] = (), teacher: str | None = None) -> Summary:
    return summarise(tables, compare=compare, teacher=teacher, cluster_by="module", seed=1)


def test_each_model_has_each_metric_by_name():
    found = summary(bits(student=STUDENT, control=CONTROL), shares(student=[1, 0] * 20, control=[0, 1] * 20))
    assert set(found.metrics) == {"student.bits_per_byte", "control.bits_per_byte", "student.parses", "control.parses"}
    assert found.metrics["student.parses"].value == 0.5


def test_a_pair_is_first_minus_second():
    found = summary(bits(student=STUDENT, control=CONTROL), compare=[("student", "control")])
    metric = found.metrics["student_vs_control.bits_per_byte"]
    assert metric.value == pytest.approx(STUDENT.value - CONTROL.value)
    assert metric.high < 0


def test_the_facts_say_what_a_reader_needs_to_judge_a_number():
    found = summary(bits(student=STUDENT, control=CONTROL), compare=[("student", "control")])
    assert found.facts["metrics"] == {
        "bits_per_byte": {
            "suite": "bits_per_byte",
            "better": "lower",
            "unit": "bits per byte",
            "items": len(STUDENT.items),
            "clusters": 30,
            "left_out": {"no answer": 3},
        }
    }


def test_a_pair_says_how_small_a_difference_it_would_find():
    found = summary(bits(student=STUDENT, control=CONTROL), compare=[("student", "control")])
    smallest = difference(STUDENT, CONTROL, seed=1).minimal_detectable
    assert found.facts["minimal_detectable_difference"] == {"student_vs_control": {"bits_per_byte": smallest}}


def test_a_student_recovers_a_share_of_the_teachers_lead_in_the_first_metric():
    found = summary(
        bits(teacher=TEACHER, student=STUDENT, control=CONTROL), compare=[("student", "control")], teacher="teacher"
    )
    share = found.metrics["student_vs_control.recovered_share"]
    assert share.value == pytest.approx((CONTROL.value - STUDENT.value) / (CONTROL.value - TEACHER.value))
    assert 0 < share.low < share.value < share.high < 1
    assert found.facts["recovered_share"] == {"of": "bits_per_byte", "undefined": {}}


def test_a_pair_that_holds_the_teacher_has_no_share_of_its_lead():
    found = summary(bits(teacher=TEACHER, control=CONTROL), compare=[("teacher", "control")], teacher="teacher")
    assert set(found.metrics) == {"teacher.bits_per_byte", "control.bits_per_byte", "teacher_vs_control.bits_per_byte"}


def test_a_teacher_without_a_clear_lead_gives_a_reason_instead_of_a_share():
    found = summary(
        bits(teacher=CONTROL, student=STUDENT, control=CONTROL), compare=[("student", "control")], teacher="teacher"
    )
    assert "student_vs_control.recovered_share" not in found.metrics
    assert found.facts["recovered_share"] == {
        "of": "bits_per_byte",
        "undefined": {"student_vs_control": "teacher has no clear lead over control: 0"},
    }


def test_a_metric_that_is_0_for_both_is_no_evidence_of_anything():
    found = summary(shares(student=[0] * 40, control=[0] * 40), compare=[("student", "control")])
    assert found.metrics["student.parses"].high > 0.2  # nothing right in 10 clusters leaves room for a quarter
    assert found.facts["minimal_detectable_difference"] == {"student_vs_control": {"parses": None}}
