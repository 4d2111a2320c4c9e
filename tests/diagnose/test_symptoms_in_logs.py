"""Symptoms that a tiny training on a CPU does not show, on logs as the trainings that have them write them."""

import random
from pathlib import Path
from typing import Any

import pytest

from demiurgic.core.metric import Metric, Summary
from demiurgic.diagnose.finding import Finding
from demiurgic.diagnose.table import SYMPTOMS, diagnose
from demiurgic.diagnose.training import Ancestor, Failure, MergeOfIt, Training
from demiurgic.models.sample import Written
from demiurgic.train.student_text import facts_of
from written_logs import both_losses, falling, look, step_line, steps_of, written

WHOLE = Summary({"steps": Metric.exact(100)}, {})
CACHE = {"artifact": "logits", "key": "0123456789abcdef", "part": "top_k"}


def found(training: Training, symptom: str) -> Finding | None:
    return next((finding for finding in diagnose(training).findings if finding.symptom == symptom), None)


def not_checked(training: Training, symptom: str) -> str:
    (why,) = (unmade.why for unmade in diagnose(training).unmade if unmade.symptom == symptom)
    return why


def test_the_written_log_alone_is_healthy(tmp_path: Path):
    looks = [look(step, falling(step) + 0.2) for step in range(20, 101, 20)]
    assert diagnose(written(tmp_path, [*steps_of(), *looks], summary=WHOLE)).findings == []


def test_gradient_norms_decide_where_they_are_logged(tmp_path: Path):
    """The values are of one size and the gradients are not: it is the gradients that teach."""

    def line(step: int) -> dict[str, Any]:
        norms = {"norms": {"forward_kl": 3.0, "cross_entropy": 0.02}} if step % 10 == 0 else {}
        return step_line(step, {"forward_kl": (1.0, 0.5), "cross_entropy": (1.0, 0.5)}, **norms)

    finding = found(written(tmp_path, steps_of(line)), "loss_imbalance")
    assert finding is not None and finding.severity == "wrong"
    assert "norms of the weighted gradients" in finding.found and finding.found.startswith("forward_kl is 99.3 %")


def test_a_divergence_that_is_nearly_gone_at_the_end_is_no_imbalance(tmp_path: Path):
    def line(step: int) -> dict[str, Any]:
        return step_line(step, {"forward_kl": (3 / step, 0.5), "cross_entropy": (2.0 + 3 / step, 0.5)})

    assert found(written(tmp_path, steps_of(line)), "loss_imbalance") is None


def test_a_scheduled_weight_is_evened_out_with_its_schedule(tmp_path: Path):
    losses = [{"use": "forward_kl", "weight": {"from": 1000.0, "to": 500.0}}, {"use": "cross_entropy", "weight": 1.0}]
    lines = steps_of(lambda step: step_line(step, {"forward_kl": (1.0, 1000 - 5 * step), "cross_entropy": (1.0, 1.0)}))
    finding = found(written(tmp_path, lines, config={"losses": losses}), "loss_imbalance")
    assert finding is not None
    weight: Any = finding.changes[0].value
    assert weight["from"] == pytest.approx(1.0, rel=0.2) and weight["to"] == pytest.approx(weight["from"] / 2, rel=0.05)


def test_one_step_that_jumps_is_found_and_noise_is_not(tmp_path: Path):
    jump = steps_of(lambda step: step_line(step, {"cross_entropy": (falling(step) + 3 * (step == 70), 1.0)}))
    finding = found(written(tmp_path, jump), "spikes")
    assert finding is not None and "at 1 of 100 steps (70)" in finding.found
    assert found(written(tmp_path, steps_of()), "spikes") is None


def still(step: int) -> float:
    """A loss at which nothing is learned, with the noise of batches."""
    return 2 + random.Random(step).gauss(0, 0.005)


@pytest.mark.parametrize(
    ("slope", "looks", "severity"),
    [
        (0.0, [], "doubtful"),
        (0.0, [3.0, 2.99999], "doubtful"),
        (0.0, [3.0, 2.98], None),  # what the steps do not show, the held-out windows do
        (1.5e-4, [], None),  # slow, and sure
    ],
)
def test_a_loss_that_stands_still_is_doubtful_and_one_that_falls_slowly_is_not(
    tmp_path: Path, slope: float, looks: list[float], severity: str | None
):
    lines = steps_of(lambda step: step_line(step, {"cross_entropy": (still(step) - slope * step, 1.0)}))
    seen = [look(50 * (n + 1), nats) for n, nats in enumerate(looks)]
    finding = found(written(tmp_path, [*lines, *seen], summary=WHOLE), "learning_rate_too_low")
    assert (finding.severity if finding else None) == severity


def test_a_loss_that_rises_again_means_too_high_a_rate(tmp_path: Path):
    lines = steps_of(lambda step: step_line(step, {"cross_entropy": (falling(step) + 0.02 * max(0, step - 50), 1.0)}))
    finding = found(written(tmp_path, lines), "learning_rate_too_high")
    assert finding is not None and "rises by" in finding.found and finding.changes[0].value == 5e-4


def test_a_weight_that_is_scheduled_up_is_no_rising_loss(tmp_path: Path):
    lines = steps_of(lambda step: step_line(step, {"cross_entropy": (falling(step), 0.01 * step)}))
    assert found(written(tmp_path, lines), "learning_rate_too_high") is None


def test_answers_that_are_mostly_cut_off_are_doubtful(tmp_path: Path):
    def line(share: float, step: int) -> dict[str, Any]:
        texts = [Written([1, 2, 3], finished=number < share * 20) for number in range(20)]
        return step_line(step, both_losses(step), **({"source": "student", **facts_of(texts)} if step % 2 else {}))

    config = {"on_policy": {"share": 0.5, "max_new_tokens": 64}}
    finding = found(written(tmp_path, steps_of(lambda step: line(0.25, step)), config=config), "endless_answers")
    assert finding is not None and "25 % [25 %, 25 %]" in finding.found
    assert [(change.place, change.value) for change in finding.changes] == [("on_policy.max_new_tokens", 128)]
    ending = written(tmp_path, steps_of(lambda step: line(0.9, step)), config=config)
    assert found(ending, "endless_answers") is None


def test_a_high_temperature_on_a_top_k_cache_is_doubtful(tmp_path: Path):
    losses = [{"use": "forward_kl", "weight": 1.0, "temperature": 4.0}]
    known: Any = {"config": {"teacher": CACHE, "losses": losses}, "teacher": {"kept_mass": 0.97}}
    finding = found(written(tmp_path, steps_of(), **known), "soft_top_k")
    assert finding is not None and "temperature 4" in finding.found and "97 % of the probability" in finding.found
    known["config"]["losses"][0]["temperature"] = 1.0
    assert found(written(tmp_path, steps_of(), **known), "soft_top_k") is None


def test_the_teachers_own_loss_may_come_from_the_summary(tmp_path: Path):
    summary = Summary({"teacher_held_out_loss": Metric.exact(3.0)}, {})
    finding = found(written(tmp_path, [*steps_of(), look(100, 2.5)], summary=summary), "teacher_worse")
    assert finding is not None and "20 % above the student's 2.5 after step 100" in finding.found


def test_a_first_look_that_stays_the_best_asks_for_earlier_looks(tmp_path: Path):
    looks = [look(step, 2.0 + 0.005 * step) for step in (20, 40, 60, 80, 100)]
    finding = found(written(tmp_path, [*steps_of(), *looks], summary=WHOLE), "best_is_first")
    assert finding is not None
    assert {change.place: change.value for change in finding.changes} == {"evaluate_every": 2, "learning_rate": 5e-4}


def test_a_revoked_or_rejected_ancestor_is_wrong(tmp_path: Path):
    above = [
        Ancestor("raw", "collect", "aa", Summary(), revoked="the licence forbids training"),
        Ancestor("base", "merge", "bb", Summary(), rejected="kl is 0.2, wanted at most 0.1"),
    ]
    training = written(tmp_path, steps_of(), ancestors=above)
    for symptom, reason in (("revoked_upstream", "licence"), ("rejected_upstream", "kl is 0.2")):
        finding = found(training, symptom)
        assert finding is not None and finding.severity == "wrong" and reason in finding.found


@pytest.mark.parametrize(("kl", "severity"), [(1e-7, None), (8e-6, "doubtful"), (3e-5, "wrong")])
def test_a_merge_above_is_held_against_the_bounds_of_its_proof(tmp_path: Path, kl: float, severity: str | None):
    figures = {"kl": kl, "top1": 1.0, "min_projection": 0.9999, "max_projection": 1.0001, "kl_share_of_effect": 1e-5}
    summary = Summary({name: Metric.exact(value) for name, value in figures.items()}, {})
    training = written(tmp_path, steps_of(), ancestors=[Ancestor("merged", "merge", "cc", summary)])
    finding = found(training, "bad_merge_upstream")
    assert (finding.severity if finding else None) == severity


@pytest.mark.parametrize(
    ("merges", "severity"),
    [([MergeOfIt("merged", "base")], "wrong"), ([], "doubtful"), ([MergeOfIt("merged", "dequantized")], None)],
)
def test_a_four_bit_base_wants_a_merge_onto_what_it_computed_with(
    tmp_path: Path, merges: list[MergeOfIt], severity: str | None
):
    training = written(tmp_path, steps_of(), config={"lora": {"precision": "nf4"}}, merges=merges)
    finding = found(training, "four_bit_base")
    assert (finding.severity if finding else None) == severity
    if severity == "wrong":
        assert finding is not None and finding.changes[0].step == "merged"
        assert (finding.changes[0].place, finding.changes[0].value) == ("onto", "dequantized")


def test_an_error_that_is_no_bad_number_is_told_as_it_is(tmp_path: Path):
    training = written(tmp_path, steps_of(), failure=Failure("UserError: the disk is full", "1a2b3c4d"))
    finding = found(training, "failed")
    assert finding is not None and "the disk is full" in finding.found and finding.where == "ledger line 1a2b3c4d"
    assert found(training, "non_finite") is None


def test_what_cannot_be_checked_says_why(tmp_path: Path):
    training = written(tmp_path, steps_of()[:5], config={"teacher": None}, ancestors=None)
    assert not_checked(training, "teacher_worse") == "there is no teacher"
    assert not_checked(training, "spikes") == "the log has 5 comparable steps of the total loss; wanted 40"
    assert not_checked(training, "train_eval_gap") == "the log has 0 looks at held-out windows; wanted 3"
    assert "not finished" in not_checked(training, "bad_merge_upstream")
    assert not_checked(training, "failed") == "no ledger says how it ended"


def test_every_symptom_says_what_it_is():
    assert all((check.__doc__ or "").strip() for check in SYMPTOMS.values())
