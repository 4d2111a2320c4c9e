"""The environment does not change what is trained."""

from pathlib import Path

import numpy as np
import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.load import load_model
from demiurgic.models.windows import Batch
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import accumulate, gradient_norm
from tiny_models import tiny_model
from tiny_training import components

CPU = torch.device("cpu")


def norm_of_a_gradient(model_folder: Path) -> float:
    model, shape = load_model(model_folder, device="cpu"), (2, 10)
    weights_BT = np.ones(shape, np.float32)
    weights_BT[:, 0] = 0
    accelerator = accelerator_on(CPU, "fp32")
    module = accelerator.prepare(objective(model))
    ids_BT = np.random.default_rng(0).integers(0, 290, shape)
    accumulate(
        module,
        Batch(ids_BT, weights_BT, np.ones(shape, np.int64)),
        components=components("cross_entropy"),
        accelerator=accelerator,
        micro_batch=1,
    )
    return gradient_norm(model)


def test_gradient_accumulation_in_the_environment_does_not_scale_the_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = tiny_model(tmp_path / "model", layers=1)
    plain = norm_of_a_gradient(model)
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    assert norm_of_a_gradient(model) == plain


@pytest.mark.parametrize(("precision", "wanted", "other"), [("fp32", "no", "bf16"), ("bf16", "bf16", "no")])
def test_a_precision_in_the_environment_does_not_replace_that_of_the_config(
    monkeypatch: pytest.MonkeyPatch, precision: str, wanted: str, other: str
):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", other)
    assert accelerator_on(CPU, precision).mixed_precision == wanted


def test_an_environment_that_asks_for_another_device_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACCELERATE_TORCH_DEVICE", "meta")
    with pytest.raises(UserError, match="Unset the environment variables whose names begin with ACCELERATE_"):
        accelerator_on(CPU, "fp32")


def test_another_number_of_processes_than_was_started_is_refused():
    with pytest.raises(UserError, match="2 processes were to train, and the environment says 1.*--processes N"):
        accelerator_on(CPU, "fp32", processes=2)


def test_our_own_launch_is_taken_as_it_is():
    assert accelerator_on(CPU, "fp32", processes=1).num_processes == 1


def test_a_gpu_that_is_named_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch):
    used: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr("demiurgic.train.accelerator.autocast", lambda device, precision: None)
    with pytest.raises(UserError, match="Accelerate was set up as"):  # there is none
        accelerator_on(torch.device("cuda:1"), "fp32", processes=1)
    assert used == [torch.device("cuda:1")]


@pytest.mark.parametrize(
    ("name", "processes", "message"),
    [
        ("cuda:1", 2, "cuda:1 was asked for by 2 processes, which take a GPU each.*gpu_ids"),
        ("cuda:2", 1, "cuda:2 was asked for, and torch counts 2 GPUs"),
    ],
)
def test_a_gpu_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, processes: int, message: str):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=message):
        accelerator_on(torch.device(name), "fp32", processes=processes)
