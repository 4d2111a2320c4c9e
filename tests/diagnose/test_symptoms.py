"""Each symptom on a training that really has it, and none on a healthy one."""

from pathlib import Path

import pytest

from demiurgic.api import load_recipe
from demiurgic.diagnose.finding import Diagnosis, Finding
from demiurgic.diagnose.place import find_step
from demiurgic.diagnose.table import SYMPTOMS, diagnose
from demiurgic.run.store import Store

SICK = {
    "drowned": {"loss_imbalance", "teacher_worse"},
    "idle": {"dead_component", "clipped_at_every_step", "held_out_not_looked_at"},
    "own": {"dead_component", "learning_rate_too_low"},
    "hearted": {"train_eval_gap", "many_epochs"},
    "hurried": {"never_warmed", "held_out_not_looked_at"},
    "ramp": {"never_warmed", "held_out_not_looked_at"},
    "wild": {"learning_rate_too_high", "no_warmup"},
    "soft": {"soft_top_k"},
    "young": {"best_is_last"},
    "burst": {"non_finite"},
}
"""What is found in each, and nothing else."""


def diagnosed(recipe: Path, step: str) -> Diagnosis:
    return diagnose(find_step(load_recipe(recipe), step, store=Store(recipe.parent / "store")).training)


def finding(recipe: Path, step: str, symptom: str) -> Finding:
    (found,) = (finding for finding in diagnosed(recipe, step).findings if finding.symptom == symptom)
    return found


def changes(found: Finding) -> dict[str, object]:
    return {change.place: change.value for change in found.changes}


@pytest.mark.parametrize("step", ["teacher", "student"])
def test_a_healthy_training_has_nothing_and_every_check_is_accounted_for(clinic: Path, step: str):
    diagnosis = diagnosed(clinic, step)
    assert diagnosis.findings == []
    assert sorted([*diagnosis.checked, *(unmade.symptom for unmade in diagnosis.unmade)]) == sorted(SYMPTOMS)
    assert len(diagnosis.checked) >= 16


@pytest.mark.parametrize("step", SICK)
def test_a_sick_training_has_its_symptoms_and_no_others(clinic: Path, step: str):
    assert {finding.symptom for finding in diagnosed(clinic, step).findings} == SICK[step]


def test_a_loss_that_drowns_the_other_is_named_with_the_weight_that_evens_them_out(clinic: Path):
    found = finding(clinic, "drowned", "loss_imbalance")
    assert found.severity == "wrong"
    assert found.found.startswith("cross_entropy is ") and "weight 0.001" in found.found
    assert 1 < float(str(changes(found)["losses.0.weight"])) < 30


def test_a_teacher_that_learned_nothing_is_worse_than_its_student(clinic: Path):
    found = finding(clinic, "drowned", "teacher_worse")
    assert found.severity == "wrong" and "after step 48" in found.found


def test_a_loss_that_was_never_computed_is_doubtful_and_one_that_says_nothing_is_wrong(clinic: Path):
    assert finding(clinic, "idle", "dead_component").severity == "doubtful"
    own = finding(clinic, "own", "dead_component")
    assert own.severity == "wrong" and own.found.startswith("forward_kl is never above ")


def test_learning_by_heart_is_dated_and_patience_is_set(clinic: Path):
    found = finding(clinic, "hearted", "train_eval_gap")
    assert found.severity == "wrong" and "while total loss changes by -" in found.found
    assert changes(found) == {"patience": 3}


def test_a_training_that_ended_inside_its_warm_up_is_wrong_and_a_long_one_doubtful(clinic: Path):
    hurried, ramp = (finding(clinic, step, "never_warmed") for step in ("hurried", "ramp"))
    assert hurried.severity == "wrong" and "ended inside its warm-up" in hurried.found
    assert ramp.severity == "doubtful" and changes(ramp) == {"warmup_steps": 2}


def test_a_rate_that_throws_the_weights_away_is_halved_and_warmed_up(clinic: Path):
    assert changes(finding(clinic, "wild", "learning_rate_too_high")) == {"learning_rate": 1.5}
    assert changes(finding(clinic, "wild", "no_warmup")) == {"warmup_steps": 2}


def test_a_rate_at_which_nothing_moves_is_raised(clinic: Path):
    assert changes(finding(clinic, "own", "learning_rate_too_low")) == {"learning_rate": 1e-11}


def test_a_soft_loss_on_a_top_k_cache_is_told_what_the_cache_holds(clinic: Path):
    found = finding(clinic, "soft", "soft_top_k")
    assert "temperature 4 on a top-k cache, whose words hold" in found.found


def test_a_failed_training_is_read_from_the_ledger_and_its_partial_folder(clinic: Path):
    found = finding(clinic, "burst", "non_finite")
    assert "At step 2" in found.found and "last finite line: step 1" in found.found
    assert changes(found) == {"learning_rate": 1e29, "gradient_clip": 1.0}


def test_every_finding_cites_where_it_stands(clinic: Path):
    for step in SICK:
        for found in diagnosed(clinic, step).findings:
            assert any(words in found.where for words in ("log.jsonl, step", "ledger line", "the config of"))
