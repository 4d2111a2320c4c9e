"""What goes out of shards: whole tensors, kept by one process, one at a time."""

from pathlib import Path
from typing import Any

import torch

from demiurgic.models.load import load_model
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import adamw
from demiurgic.train.parallel import spread
from demiurgic.train.weights import is_sharded, optimizer_state, trained_weights
from tiny_models import tiny_model
from two_processes import on_two_processes


def taken_out(folder: Path) -> dict[str, Any]:
    """What each process has of weights and of the optimizer's state, when the first is to keep them."""
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    module = spread(objective(load_model(folder, device="cpu")), accelerator, strategy="fsdp2")
    optimizer = adamw(module, weight_decay=0.1, betas=(0.9, 0.95))
    for parameter in module.parameters():
        parameter.grad = parameter.detach().clone()
    optimizer.step()
    first = accelerator.is_main_process
    weights = trained_weights(module, keep=first)
    states = optimizer_state(optimizer, keep=first)["state"].values()
    kept = [value for state in states for value in state.values() if value is not None]
    return {
        "weights": {name: weight.numpy() for name, weight in weights.items()},
        "moments": len(kept),
        "sharded": [is_sharded(value) for value in [*weights.values(), *kept]],
    }


def test_the_first_process_keeps_whole_tensors_and_the_other_none(tmp_path: Path):
    model = tiny_model(tmp_path / "model", layers=1)
    (tmp_path / "found").mkdir()
    first, second = on_two_processes(taken_out, model, out=tmp_path / "found")
    own = dict(objective(load_model(model, device="cpu")).named_parameters())
    assert {name: array.shape for name, array in first["weights"].items()} == {
        name: tuple(parameter.shape) for name, parameter in own.items()
    }
    assert first["moments"] == 3 * len(own)
    assert not any(first["sharded"])
    assert (second["weights"], second["moments"]) == ({}, 0)
