"""Losses on hidden states and on selected tokens, on two processes as on one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demiurgic.models.load import load_model
from demiurgic.models.windows import Batch
from demiurgic.run.context import Strategy
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.losses import LOSSES
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import accumulate
from demiurgic.train.parallel import spread, unwrapped
from demiurgic.train.signals.live import LiveTeacher
from demiurgic.train.weights import whole
from tiny_models import tiny_model
from tiny_training import components
from two_processes import on_two_processes

CASES: dict[str, list[Any]] = {
    # nothing reaches the second block, the head and one of the maps
    "inner layer alone": [
        {"use": "hidden_mse", "student_layer": 1, "teacher_layer": 1},
        {"use": "hidden_cosine", "weight": 0},
    ],
    "everything": [
        {"use": "forward_kl", "top_entropy": 0.4},
        {"use": "hidden_cosine", "student_layer": 1, "teacher_layer": 1, "top_entropy": 0.3},
        {"use": "hidden_mse"},
        {"use": "cross_entropy", "weight": 0.1},
    ],
}


def batch() -> Batch:
    """Five windows with unequal numbers of supervised tokens."""
    random = np.random.default_rng(0)
    weights_BT = (random.random((5, 10)) < np.linspace(0.1, 0.9, 5)[:, None]).astype(np.float32)
    weights_BT[:, 0] = 0
    return Batch(random.integers(0, 290, (5, 10)), weights_BT, np.ones((5, 10), np.int64))


def found(folder: Path, strategy: Strategy) -> dict[str, tuple[float, dict[str, Any]]]:
    """Of each case the total, and the gradients by the names of the parameters."""
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    return {case: _found(folder, strategy, losses, accelerator) for case, losses in CASES.items()}


def _found(folder: Path, strategy: Strategy, losses: list[Any], accelerator: Any) -> tuple[float, dict[str, Any]]:
    model, wide = (load_model(folder / name, device="cpu") for name in ("student", "teacher"))
    teacher = LiveTeacher(wide, bf16=False, layers=(1,))
    aim = objective(model, losses=[LOSSES.choose(loss) for loss in losses], teacher=teacher)
    module = spread(aim, accelerator, strategy=strategy)
    gradient = accumulate(module, batch(), components=components(*losses), accelerator=accelerator, micro_batch=2)
    named = unwrapped(module).named_parameters()
    return gradient.total, {name: whole(parameter.grad).numpy() for name, parameter in named}


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_processes_find_the_gradients_of_one(tmp_path: Path, strategy: Strategy):
    tiny_model(tmp_path / "student", layers=2, hidden=32, intermediate=48, tied=False)
    tiny_model(tmp_path / "teacher", layers=2, hidden=64, intermediate=48, seed=1)
    (tmp_path / "out").mkdir()
    alone = found(tmp_path, strategy)
    for together in on_two_processes(found, tmp_path, strategy, out=tmp_path / "out"):
        for case, (total, gradients) in alone.items():
            assert together[case][0] == pytest.approx(total, rel=1e-6)
            assert together[case][1].keys() == gradients.keys()
            for name, gradient in gradients.items():
                np.testing.assert_allclose(
                    together[case][1][name], gradient, rtol=1e-4, atol=1e-6, err_msg=f"{case}: {name}"
                )
