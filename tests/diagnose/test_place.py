"""RUN as people write it: a step, a key, a folder, a recipe; and what is no training."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from demiurgic.api import load_recipe
from demiurgic.core.console import moment
from demiurgic.core.errors import UserError
from demiurgic.core.hashing import digest_of
from demiurgic.diagnose.evidence import key_of
from demiurgic.diagnose.place import Found, find_run, find_step
from demiurgic.diagnose.show import as_text
from demiurgic.diagnose.table import diagnose
from demiurgic.diagnose.training import Training
from demiurgic.run.lineage import restore, revoke
from demiurgic.run.store import Store
from demiurgic.stages import STAGES
from tiny_training import tiny_start, tiny_tokens, train
from written_logs import steps_of, written


def found(clinic: Path, name: str) -> Found:
    return find_run(name, store=Store(clinic.parent / "store"), stages=STAGES, recipes=[clinic])


def folder(clinic: Path, step: str) -> Path:
    (path,) = (clinic.parent / "store").glob(f"{step}-*")
    return path


def test_a_step_is_found_by_name_by_key_and_by_folder_with_the_recipe_that_made_it(clinic: Path):
    path = folder(clinic, "student")
    for name in ("student", path.name, path.name[-16:-8], str(path)):
        run = found(clinic, name)
        assert run.training.name == run.step == "student" and run.training.finished
        assert run.recipe is not None and run.recipe.path == clinic
        assert run.training.ancestors is not None and {a.step for a in run.training.ancestors} >= {"raw", "teacher"}


def test_a_recipe_names_its_own_step(clinic: Path):
    run = find_step(load_recipe(clinic), "idle", store=Store(clinic.parent / "store"))
    assert run.training.log.path == folder(clinic, "idle") / "log.jsonl"
    changed = load_recipe(clinic, overrides=["idle.steps=49"])
    with pytest.raises(UserError, match="holds nothing of the step idle as .* writes it"):
        find_step(changed, "idle", store=Store(clinic.parent / "store"))


def test_a_training_that_is_not_finished_has_its_config_from_the_recipe(clinic: Path):
    partial = folder(clinic, "burst")
    for name in ("burst", str(partial)):
        run = found(clinic, name)
        assert not run.training.finished and run.step == "burst"
        assert run.training.settings["learning_rate"] == 1e30 and run.training.ancestors


def test_a_folder_away_from_its_store_is_told_by_its_log_alone(clinic: Path, tmp_path: Path):
    away = tmp_path / "burst-0123456789abcdef.partial"
    shutil.copytree(folder(clinic, "burst"), away)
    run = find_run(str(away), store=Store(tmp_path / "none"), stages=STAGES, recipes=[])
    assert run.training.config is None and run.recipe is None
    reasons = {unmade.symptom: unmade.why for unmade in diagnose(run.training).unmade}
    assert reasons["non_finite"] == "no ledger says how it ended" and "config is not known" in reasons["soft_top_k"]


def failed_once(folder: Path) -> Path:
    """A training of a store whose ledger says that it failed; its log was last written to before that."""
    partial = folder / "student-0123456789abcdef.partial"
    written(partial, steps_of()[:50])
    set_time(partial / "log.jsonl", -100)
    step = {"step": "student", "stage": "train", "key": "0123456789abcdef"}
    lines = [
        {"id": "aaaaaaaa", "event": "started", "time": moment(time.time() - 200), "recipe": "demo", "steps": []},
        {"id": "bbbbbbbb", "event": "failed", "time": moment(time.time() - 90), **step, "reason": "UserError: memory"},
    ]
    (folder / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return partial


def set_time(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() + seconds, time.time() + seconds))


def told(partial: Path) -> Training:
    return find_run(str(partial), store=Store(partial.parent), stages=STAGES, recipes=[]).training


def test_a_failure_stands_while_nothing_was_trained_since(tmp_path: Path):
    partial = failed_once(tmp_path)
    assert told(partial).failure is not None
    Store(tmp_path).ledger.append("started", {"recipe": "demo", "steps": []})  # of a run that does not come to it
    assert told(partial).failure is not None


def test_a_failure_from_before_a_run_that_went_on_is_forgotten(tmp_path: Path):
    partial = failed_once(tmp_path)
    Store(tmp_path).ledger.append("started", {"recipe": "demo", "steps": []})
    set_time(partial / "log.jsonl", 5)
    training = told(partial)
    assert training.failure is None and not training.running
    reasons = {unmade.symptom: unmade.why for unmade in diagnose(training).unmade}
    assert reasons["failed"] == "no ledger says how it ended"  # it was killed


def test_of_a_training_that_runs_nothing_is_said_of_its_end(tmp_path: Path):
    partial = failed_once(tmp_path)
    store = Store(tmp_path)
    with store.locked():
        assert not told(partial).running  # something else is being made
        store.ledger.append("started", {"recipe": "demo", "steps": []})
        assert not told(partial).running
        set_time(partial / "log.jsonl", 5)
        training = told(partial)
        assert training.running and "still running" in as_text(diagnose(training), training)
        reasons = {unmade.symptom: unmade.why for unmade in diagnose(training).unmade}
        assert reasons["failed"] == reasons["non_finite"] == reasons["never_warmed"] == "it is still running"
    assert not told(partial).running


def test_the_preset_of_the_run_is_told(clinic: Path):
    """As a run with a preset writes it: the preset's name, and its values as the first of the changes."""
    path, store = clinic.with_name("named.yaml"), Store(clinic.parent / "store")
    path.write_text("presets: {same: {idle.steps: 48}}\n" + clinic.read_text())
    recipe = load_recipe(path, preset="same", overrides=["idle.batch=8"])
    line = {"file": digest_of(str(path.absolute()))[:8], "key": key_of(folder(clinic, "idle")), "preset": "same"}
    before = store.ledger.path.read_text()
    store.ledger.append("reused", {**line, "step": "idle", "overrides": list(recipe.overrides)})
    try:
        run = find_run("idle", store=store, stages=STAGES, recipes=[path])
        assert run.recipe == recipe
        assert run.notes == ["that run had --preset same --set idle.batch=8"]
    finally:
        store.ledger.path.write_text(before)
        path.unlink()


def test_a_training_without_a_recipe_or_a_store_is_found_by_its_folder(tmp_path: Path):
    tiny_start(tmp_path / "start")
    tiny_tokens(tmp_path / "rows", tmp_path / "start" / "model")
    step = train(tmp_path)
    run = find_run(str(step), store=Store(tmp_path / "store"), stages=STAGES, recipes=[])
    assert run.training.finished and run.training.settings["steps"] == 2
    assert {finding.symptom for finding in diagnose(run.training).findings} == {"held_out_not_looked_at"}


def test_a_revoked_ancestor_is_found_through_the_ledger(clinic: Path):
    store = Store(clinic.parent / "store")
    revoke(store, "raw", why="the licence forbids training")
    try:
        (finding,) = diagnose(found(clinic, "student").training).findings
        assert finding.symptom == "revoked_upstream" and "licence" in finding.found
    finally:
        restore(store, "raw")


def test_a_step_that_trains_nothing_is_refused_with_those_that_do(clinic: Path):
    with pytest.raises(UserError, match="rows is a step of the stage tokenize; only trainings can be diagnosed"):
        found(clinic, "rows")
    with pytest.raises(UserError, match="Steps that train: teacher, student"):
        find_step(load_recipe(clinic), "rows", store=Store(clinic.parent / "store"))


def test_an_unknown_name_is_answered_with_what_there_is(clinic: Path):
    with pytest.raises(UserError, match=r'no finished step "stundent".*Not finished: burst-'):
        found(clinic, "stundent")
    with pytest.raises(UserError, match='There is no step "stundent". Did you mean "student"'):
        find_step(load_recipe(clinic), "stundent", store=Store(clinic.parent / "store"))


def test_a_folder_without_a_log_is_refused(clinic: Path, tmp_path: Path):
    copy = tmp_path / folder(clinic, "idle").name
    shutil.copytree(folder(clinic, "idle"), copy)
    (copy / "log.jsonl").unlink()
    with pytest.raises(UserError, match=r"has no log.jsonl, which every training writes"):
        find_run(str(copy), store=Store(tmp_path), stages=STAGES, recipes=[])


def test_a_log_that_is_cut_off_or_damaged_is_read_up_to_there(clinic: Path, tmp_path: Path):
    partial = tmp_path / "student-0123456789abcdef.partial"
    partial.mkdir()
    lines = (folder(clinic, "idle") / "log.jsonl").read_text().splitlines(keepends=True)
    for damaged in ('{"step": 11, "to', '{"step": 11}\n', "[]\n"):
        (partial / "log.jsonl").write_text("".join(lines[:10]) + damaged)
        log = find_run(str(partial), store=Store(tmp_path), stages=STAGES, recipes=[]).training.log
        assert len(log.steps) == 10 and log.problem.startswith("line 11 of ")


def test_a_log_without_a_step_is_refused(tmp_path: Path):
    partial = tmp_path / "student-0123456789abcdef.partial"
    partial.mkdir()
    (partial / "log.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no step yet"):
        find_run(str(partial), store=Store(tmp_path), stages=STAGES, recipes=[])


def test_a_training_that_failed_before_its_first_step_still_says_why(tmp_path: Path):
    partial = tmp_path / "student-0123456789abcdef.partial"
    partial.mkdir()
    line = {"step": "student", "stage": "train", "key": "0123456789abcdef", "reason": "UserError: no memory"}
    (tmp_path / "ledger.jsonl").write_text(json.dumps({"id": "aaaaaaaa", "event": "failed", **line}) + "\n")
    diagnosis = diagnose(find_run(str(partial), store=Store(tmp_path), stages=STAGES, recipes=[]).training)
    (finding,) = diagnosis.findings
    assert finding.symptom == "failed" and "no memory" in finding.found
