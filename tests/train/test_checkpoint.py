"""Checkpoints: one whole one at any instant, and everything in it."""

import time
from pathlib import Path

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.train.checkpoint import Checkpoint, CheckpointPace, Checkpoints, Progress


def checkpoint(step: int, *, best_step: int = 0) -> Checkpoint:
    weights = {"weight": torch.full((3,), float(step))}
    return Checkpoint(Progress(step=step, best_step=best_step), weights, {"state": {}, "param_groups": []})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_there_is_nothing_to_go_on_from_at_first(tmp_path: Path):
    assert Checkpoints(tmp_path / "checkpoint").newest() is None


def test_what_is_written_comes_back(tmp_path: Path):
    Checkpoints(tmp_path).write(checkpoint(3))
    found = Checkpoints(tmp_path).newest()
    assert found is not None
    assert found.progress == Progress(step=3)
    assert torch.equal(found.weights["weight"], torch.full((3,), 3.0))


def test_a_new_one_replaces_the_old_one(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path)
    for step in (3, 12):
        checkpoints.write(checkpoint(step))
    assert names(tmp_path) == ["step-00000012"]


def test_a_half_written_one_is_no_checkpoint(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(checkpoint(3))
    (tmp_path / "step-00000009.tmp").mkdir()
    found = checkpoints.newest()
    assert found is not None
    assert found.progress.step == 3
    checkpoints.write(checkpoint(12))
    assert names(tmp_path) == ["step-00000012"]


def test_best_weights_stay_until_a_checkpoint_names_others(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write_best(2, {"weight": torch.zeros(1)})
    checkpoints.write(checkpoint(3, best_step=2))
    checkpoints.write_best(4, {"weight": torch.ones(1)})
    assert names(tmp_path) == ["best-00000002", "best-00000004", "step-00000003"]
    checkpoints.write(checkpoint(5, best_step=4))
    assert names(tmp_path) == ["best-00000004", "step-00000005"]
    assert checkpoints.best(4)["weight"] == 1


def test_a_damaged_one_is_named(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(checkpoint(3))
    state = tmp_path / "step-00000003" / "state.pt"
    state.write_bytes(state.read_bytes()[:100])
    with pytest.raises(UserError, match="is damaged"):
        checkpoints.newest()


def test_what_was_read_outlives_its_file(tmp_path: Path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(checkpoint(3))
    found = checkpoints.newest()
    assert found is not None
    checkpoints.write(checkpoint(4))
    assert torch.equal(found.weights["weight"], torch.full((3,), 3.0))


def test_the_slower_the_writing_the_rarer_the_checkpoints(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    pace = CheckpointPace(30)
    now += 29
    assert not pace.is_due()
    now += 1
    assert pace.is_due()
    with pace.writing():
        now += 3
    now += 59
    assert not pace.is_due()
    now += 1
    assert pace.is_due()
    with pace.writing():
        now += 1
    now += 30
    assert pace.is_due()


def test_after_every_step_is_after_every_step(monkeypatch: pytest.MonkeyPatch):
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    pace = CheckpointPace(0)
    with pace.writing():
        now += 3
    assert pace.is_due()
