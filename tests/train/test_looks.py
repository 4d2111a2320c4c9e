"""Held-out windows in the course of a training: early stopping, and the teacher's own loss."""

from pathlib import Path

import pytest

from demiurgic.core.artifacts import Manifest
from demiurgic.models.likelihood import token_nats
from demiurgic.models.load import load_model
from demiurgic.models.windows import Windows
from tiny_training import distil, log_of, other_tokens, tiny_start, tiny_tokens, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("looks")
    start = tiny_start(folder / "start", layers=1)
    tiny_tokens(folder / "rows", start)
    other_tokens(folder / "others", start)
    tiny_start(folder / "teacher", seed=1, layers=1)
    return folder


def test_a_training_ends_after_so_many_looks_in_vain_and_keeps_the_best(folder: Path, tmp_path: Path):
    more = {"steps": 40, "evaluate_every": 2, "patience": 3, "learning_rate": 3e-2, "schedule": "constant"}
    step = train(folder, str(tmp_path / "s"), held_out=folder / "others" / "tokens", **more)
    looks = [line for line in log_of(step) if "held_out" in line]
    losses = [look["held_out"]["nats_per_token"] for look in looks]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 3
    assert looks[-1]["step"] < 40
    summary = Manifest.read(step).summary
    assert summary.facts["stopped_early"] is True
    assert summary.metrics["steps"].value == looks[-1]["step"]
    assert summary.metrics["best_step"].value == looks[best]["step"]


def test_without_patience_it_goes_to_the_end(folder: Path, tmp_path: Path):
    more = {"steps": 12, "evaluate_every": 2, "learning_rate": 3e-2}
    step = train(folder, str(tmp_path / "s"), held_out=folder / "others" / "tokens", **more)
    assert Manifest.read(step).summary.metrics["steps"].value == 12
    assert Manifest.read(step).summary.facts["stopped_early"] is False


def test_a_live_teacher_is_asked_for_its_own_loss_once(folder: Path, tmp_path: Path):
    import torch

    step = distil(folder, tmp_path / "s", steps=6, evaluate_every=2)
    said = [line["held_out"].get("teacher_nats_per_token") for line in log_of(step) if "held_out" in line]
    windows = Windows.open(folder / "others" / "tokens")
    batch = windows.batch(range(len(windows)))
    ids_BT, documents_BT = torch.from_numpy(batch.ids_BT), torch.from_numpy(batch.documents_BT)
    nats_BT = token_nats(load_model(folder / "teacher" / "model", device="cpu"), ids_BT, documents_BT=documents_BT)
    wanted = float((nats_BT * torch.from_numpy(batch.weights_BT)).sum() / batch.weights_BT.sum())
    assert said[0] == pytest.approx(wanted, rel=1e-5)
    assert said[1:] == [None, None]
    assert Manifest.read(step).summary.metrics["teacher_held_out_loss"].value == said[0]
