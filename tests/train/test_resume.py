"""A training that is stopped and goes on gives what one gives that was never stopped, bit by bit."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from demiurgic.core.artifacts import Manifest
from demiurgic.core.errors import UserError
from demiurgic.train.checkpoint import Checkpoints
from demiurgic.train.log import TrainLog
from stopped import PowerCutError, cut, interrupted
from tiny_training import (
    DISTIL_STEPS,
    artifact,
    distil,
    log_of,
    other_tokens,
    same_weights,
    tiny_start,
    tiny_tokens,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Start weights with dropout (so that random streams matter), a teacher, windows, and the result to agree with."""
    folder = tmp_path_factory.mktemp("resume")
    start = tiny_start(folder / "start")
    config = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps({**config, "attention_dropout": 0.2}))
    artifact(start, kind="model")
    tiny_tokens(folder / "rows", start)
    tiny_tokens(folder / "uncut", start, length=64)
    other_tokens(folder / "others", start)
    tiny_start(folder / "teacher", seed=1)
    distil(folder, folder / "whole")
    return folder


def timeless(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_same(found: Path, folder: Path) -> None:
    assert same_weights(found / "model", folder / "whole" / "model")
    assert timeless(log_of(found)) == timeless(log_of(folder / "whole"))
    summaries = [Manifest.read(step).summary for step in (found, folder / "whole")]
    for name in ("held_out_loss", "best_step", "steps", "tokens"):
        assert summaries[0].metrics[name] == summaries[1].metrics[name]


def checkpoint_of(out: Path) -> Checkpoints:
    (partial,) = out.parent.glob(f"{out.name}-*.partial")
    return Checkpoints(partial / "checkpoint")


def test_the_same_training_twice_gives_the_same_weights(folder: Path, tmp_path: Path):
    assert_same(distil(folder, tmp_path / "again"), folder)


@pytest.mark.parametrize("seed", range(4))
def test_after_ctrl_c_at_random_steps_the_result_is_the_same(folder: Path, tmp_path: Path, seed: int):
    dice = random.Random(seed)
    done = 0
    for _ in range(2):
        after = dice.randint(1, DISTIL_STEPS - done - 3)
        with pytest.raises(KeyboardInterrupt):
            distil(folder, tmp_path / "s", interrupted(after))
        done += after
        checkpoint = checkpoint_of(tmp_path / "s").newest()
        assert checkpoint is not None
        assert checkpoint.progress.step == done
    assert_same(distil(folder, tmp_path / "s"), folder)


@pytest.mark.parametrize("after", [7, DISTIL_STEPS])
def test_ctrl_c_where_an_evaluation_is_due_changes_nothing(folder: Path, tmp_path: Path, after: int):
    with pytest.raises(KeyboardInterrupt):
        distil(folder, tmp_path / "s", interrupted(after))
    assert_same(distil(folder, tmp_path / "s"), folder)


@pytest.mark.parametrize("after", [1, 8, 15, DISTIL_STEPS])
def test_what_came_after_the_last_checkpoint_is_done_again(folder: Path, tmp_path: Path, after: int):
    with pytest.raises(PowerCutError):
        distil(folder, tmp_path / "s", cut(after, checkpoint_seconds=0))
    with pytest.raises(PowerCutError):
        distil(folder, tmp_path / "s", cut(2 if after < DISTIL_STEPS else 1, checkpoint_seconds=1e9))
    assert_same(distil(folder, tmp_path / "s"), folder)


EVERYTHING: dict[str, Any] = {
    "losses": [
        {"use": "forward_kl", "weight": {"from": 0.9, "to": 0.4}, "temperature": {"phases": {"warm": 2, "end": 1}}},
        {"use": "reverse_kl", "weight": 0.2, "top_entropy": 0.5},
        {"use": "cross_entropy", "weight": {"balance": 0.3}},
        {"use": "hidden_mse", "weight": 0.1, "student_layer": 1, "teacher_layer": 1},
    ],
    "phases": [{"name": "warm", "share": 0.4}, {"name": "end", "share": 0.6}],
    "average": "documents",
    "evaluate_every": 3,
    "patience": 3,
    "gradient_norms_every": 2,
    "gradient_checkpointing": True,
    "warmup_steps": 4,
    "schedule": "wsd",
}
"""Schedules, phases, a balanced weight, selected tokens, a learned map between hidden states, early stopping."""


@pytest.fixture(scope="module")
def everything(folder: Path) -> Path:
    return with_everything(folder, folder / "everything")


def with_everything(folder: Path, out: Path, context: Any = None) -> Path:
    """On windows in which no document is cut, as a mean over documents wants."""
    return distil(folder, out, context, data=folder / "uncut" / "tokens", **EVERYTHING)


@pytest.mark.parametrize("seed", range(3))
def test_with_everything_on_the_result_is_the_same_after_ctrl_c_and_a_power_cut(
    folder: Path, everything: Path, tmp_path: Path, seed: int
):
    steps = log_of(everything)[-1]["step"]
    dice = random.Random(seed)
    after = dice.randint(1, steps - 5)
    with pytest.raises(KeyboardInterrupt):
        with_everything(folder, tmp_path / "s", interrupted(after))
    with pytest.raises(PowerCutError):
        with_everything(folder, tmp_path / "s", cut(dice.randint(1, steps - after), checkpoint_seconds=0))
    step = with_everything(folder, tmp_path / "s")
    assert same_weights(step / "model", everything / "model")
    assert timeless(log_of(step)) == timeless(log_of(everything))


def test_an_interruption_after_the_training_does_not_repeat_it(folder: Path, tmp_path: Path):
    partial = without_manifest(distil(folder, tmp_path / "s"))
    assert not (partial / "checkpoint").exists()
    assert_same(distil(folder, tmp_path / "s", cut(1, checkpoint_seconds=0)), folder)


def without_manifest(whole: Path) -> Path:
    """A finished step as it was just before its manifest was written."""
    key = Manifest.read(whole).key
    (whole / "manifest.json").unlink()
    return whole.rename(whole.with_name(f"{whole.name}-{key}.partial"))


def test_a_checkpoint_that_a_kill_left_beside_the_result_goes(folder: Path, tmp_path: Path):
    partial = without_manifest(distil(folder, tmp_path / "s"))
    (partial / "checkpoint" / f"step-{DISTIL_STEPS:08d}").mkdir(parents=True)
    step = distil(folder, tmp_path / "s", cut(1, checkpoint_seconds=0))
    assert sorted(path.name for path in step.iterdir()) == ["log.jsonl", "manifest.json", "model", "result.json"]


def test_a_result_without_its_model_is_made_again(folder: Path, tmp_path: Path):
    partial = without_manifest(distil(folder, tmp_path / "s"))
    shutil.rmtree(partial / "model")
    assert_same(distil(folder, tmp_path / "s"), folder)


def test_ctrl_c_at_the_end_of_the_last_evaluation_is_not_lost(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write = TrainLog.write

    def write_and_press(log: TrainLog, line: dict[str, Any]) -> None:
        write(log, line)
        if "held_out" in line and line["step"] == DISTIL_STEPS:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(TrainLog, "write", write_and_press)
        with pytest.raises(KeyboardInterrupt):
            distil(folder, tmp_path / "s")
    checkpoint = checkpoint_of(tmp_path / "s").newest()
    assert checkpoint is not None
    assert checkpoint.progress.evaluated_step == DISTIL_STEPS
    assert_same(distil(folder, tmp_path / "s"), folder)


def test_a_log_that_lost_steps_is_not_gone_on_from(folder: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        distil(folder, tmp_path / "s", interrupted(5))
    (log,) = tmp_path.glob("s-*.partial/log.jsonl")
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(
        UserError, match=r"log.jsonl lacks step 4 \(2 in all\).*goes on after step 5. Delete the folder"
    ):
        distil(folder, tmp_path / "s")


def test_the_log_is_on_the_disk_before_the_checkpoint(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = []
    sync, write = TrainLog.sync, Checkpoints.write
    monkeypatch.setattr(TrainLog, "sync", lambda log: (done.append("log"), sync(log)))
    monkeypatch.setattr(Checkpoints, "write", lambda self, state: (done.append("checkpoint"), write(self, state)))
    with pytest.raises(KeyboardInterrupt):
        distil(folder, tmp_path / "s", interrupted(2))
    assert done == ["log", "checkpoint"]


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tiny_training import distil, quiet
distil(Path({folder!r}), Path({out!r}), quiet(checkpoint_seconds=0))
"""


def test_kill_9_at_random_moments_changes_nothing(folder: Path, tmp_path: Path):
    out = tmp_path / "s"
    script = KILLED.format(tests=str(Path(__file__).parents[1]), folder=str(folder), out=str(out))
    dice = random.Random()
    lines_before_kill = 0
    for _ in range(2):
        lines_before_kill += dice.randint(1, 7)
        child = subprocess.Popen([sys.executable, "-c", script])
        while child.poll() is None and num_lines(tmp_path) < lines_before_kill:
            time.sleep(0.002)
        time.sleep(dice.random() * 0.03)
        child.kill()
        child.wait()
    # a fast machine may have finished before the second kill
    assert_same(out if out.exists() else distil(folder, out), folder)


def num_lines(folder: Path) -> int:
    return sum(log.read_bytes().count(b"\n") for log in folder.glob("s-*.partial/log.jsonl"))
