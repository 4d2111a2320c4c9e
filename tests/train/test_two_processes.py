"""Two processes that share a batch agree with one that has it all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demiurgic.core.optional import installed
from demiurgic.models.load import load_model
from demiurgic.models.windows import Batch
from demiurgic.run.context import Strategy
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import Gradient, accumulate, adamw, clip, gradient_norm
from demiurgic.train.parallel import spread_with_optimizer, unwrapped
from demiurgic.train.weights import optimizer_state, put_back, put_back_optimizer, trained_weights, whole
from tiny_models import tiny_model
from tiny_training import components
from two_processes import on_two_processes

needs_deepspeed = pytest.mark.skipif(
    not installed("deepspeed"), reason='DeepSpeed is not installed: pip install "demiurgic[deepspeed]"'
)


@dataclass(frozen=True)
class Step:
    """What an optimizer step found, and what it left."""

    gradient: Gradient
    norm: float
    gradients: dict[str, Any]
    weights: dict[str, Any]
    state: dict[int, dict[str, Any]]


def step_on_a_batch(folder: Path, strategy: Strategy) -> Step:
    """One optimizer step on five windows with unequal numbers of supervised tokens.

    Two processes do not get the same number of windows, nor of micro-batches.
    """
    model = load_model(folder, device="cpu")
    random = np.random.default_rng(0)
    weights_BT = (random.random((5, 10)) < np.linspace(0.1, 0.9, 5)[:, None]).astype(np.float32)
    weights_BT[:, 0] = 0
    batch = Batch(random.integers(0, 290, (5, 10)), weights_BT, np.ones((5, 10), np.int64))
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    module, optimizer = spread_with_optimizer(
        objective(model),
        accelerator,
        strategy=strategy,
        optimizer=lambda module: adamw(module, weight_decay=0.1, betas=(0.9, 0.95)),
        micro_batch=2,
    )
    inner = unwrapped(module)
    found = accumulate(module, batch, components=components("cross_entropy"), accelerator=accelerator, micro_batch=2)
    norm = gradient_norm(inner)
    clip(inner, norm, limit=0.5 * norm)
    gradients = {name: whole_gradient(parameter).numpy() for name, parameter in inner.named_parameters()}
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    optimizer.step()
    state = optimizer_state(optimizer)
    weights = trained_weights(inner)
    put_back(inner, weights)
    put_back_optimizer(optimizer, state)
    again = optimizer_state(optimizer)
    for number, moments in state["state"].items():
        assert all(torch.equal(value, again["state"][number][name]) for name, value in moments.items())
    return Step(found, norm, gradients, arrays(weights), {n: arrays(moments) for n, moments in state["state"].items()})


def facts_of_a_step(folder: Path, strategy: Strategy) -> dict[str, Any]:
    """The step's fields: this module is another one in each process, and so is its class."""
    return vars(step_on_a_batch(folder, strategy))


def arrays(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def whole_gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    if not hasattr(parameter, "_hp_mapping"):
        return whole(parameter.grad)
    from deepspeed.utils import safe_get_full_grad

    return safe_get_full_grad(parameter)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", pytest.param("deepspeed", marks=needs_deepspeed)])
def test_two_processes_make_the_step_of_one(tmp_path: Path, strategy: Strategy):
    model = tiny_model(tmp_path / "model", layers=1)
    (tmp_path / "out").mkdir()
    together = on_two_processes(facts_of_a_step, model, strategy, out=tmp_path / "out")
    alone = step_on_a_batch(model, strategy)
    for found in (Step(**facts) for facts in together):
        assert found.gradient.total == pytest.approx(alone.gradient.total, rel=1e-6)
        assert found.gradient.tokens == alone.gradient.tokens
        assert found.norm == pytest.approx(alone.norm, rel=1e-5)
        same(found.gradients, alone.gradients, atol=1e-6)
        same(found.weights, alone.weights, atol=1e-5)
        assert found.state.keys() == alone.state.keys()
        for number, moments in alone.state.items():
            same(found.state[number], moments, atol=1e-7)


def same(found: dict[str, Any], wanted: dict[str, Any], *, atol: float) -> None:
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=atol, err_msg=name)
