"""The learned map of a loss on hidden states through a whole training: trained, kept to go on with, never saved."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from demiurgic.train.checkpoint import Checkpoints
from stopped import interrupted
from tiny_training import log_of, same_weights, tiny_start, tiny_tokens, train

STEPS = 6
LOSSES = [
    {"use": "hidden_mse", "student_layer": 1, "teacher_layer": 2},
    {"use": "hidden_cosine", "weight": 0.5, "top_entropy": 0.5},
    {"use": "cross_entropy", "weight": 0.5},
]
MAPS = {"projections.hidden_mse.weight", "projections.hidden_cosine.weight"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student, a wider and deeper teacher, and windows."""
    folder = tmp_path_factory.mktemp("hidden")
    start = tiny_start(folder / "start", layers=1, hidden=32, intermediate=48)
    tiny_start(folder / "teacher", layers=3, hidden=64, intermediate=48, seed=1)
    tiny_tokens(folder / "rows", start)
    return folder


def learn(folder: Path, out: Path, context: Any = None, **more: Any) -> Path:
    values = {"steps": STEPS, "batch": 3, "micro_batch": 2, "learning_rate": 1e-2, "losses": LOSSES, **more}
    return train(folder, str(out), context=context, teacher=folder / "teacher" / "model", **values)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    return learn(folder, folder / "whole")


def checkpointed(out: Path) -> dict[str, torch.Tensor]:
    (partial,) = out.parent.glob(f"{out.name}-*.partial")
    checkpoint = Checkpoints(partial / "checkpoint").newest()
    assert checkpoint is not None
    return checkpoint.weights


def test_the_maps_are_trained_and_lie_in_the_checkpoint(folder: Path, tmp_path: Path):
    kept = []
    for after in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            learn(folder, tmp_path / f"after-{after}", interrupted(after))
        weights = checkpointed(tmp_path / f"after-{after}")
        assert {name for name in weights if name.startswith("projections.")} == MAPS
        kept.append(weights)
    for name in MAPS:
        assert kept[0][name].shape == (64, 32)
        assert not torch.equal(kept[0][name], kept[1][name])


def test_stopped_and_gone_on_with_twice_is_never_stopped(folder: Path, whole: Path, tmp_path: Path):
    for after in (2, 2):
        with pytest.raises(KeyboardInterrupt):
            learn(folder, tmp_path / "s", interrupted(after))
    assert same_weights(learn(folder, tmp_path / "s") / "model", whole / "model")


def test_the_student_is_saved_without_the_maps(folder: Path, whole: Path):
    def names(model: Path) -> set[str]:
        with safe_open(model / "model.safetensors", framework="pt") as weights:
            return set(weights.keys())

    assert names(whole / "model") == names(folder / "start" / "model")


def test_the_hidden_states_come_closer(folder: Path, tmp_path: Path):
    losses = ["hidden_mse", {"use": "hidden_cosine", "student_layer": 1, "teacher_layer": 2}]
    lines = log_of(learn(folder, tmp_path / "s", steps=30, losses=losses))
    for name in ("hidden_mse", "hidden_cosine"):
        raws = [line["components"][name]["raw"] for line in lines]
        assert sum(raws[-3:]) < 0.7 * sum(raws[:3])
