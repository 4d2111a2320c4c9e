"""Two processes that share a batch agree with one that has it all."""

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demiurgic.models.load import load_model
from demiurgic.models.windows import Batch
from demiurgic.run.context import Strategy
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import Gradient, accumulate, adamw, clip, gradient_norm
from demiurgic.train.parallel import spread, unwrapped
from demiurgic.train.weights import optimizer_state, put_back, put_back_optimizer, trained_weights, whole
from tiny_models import tiny_model
from tiny_training import components

WORKER = """
import pickle, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
from test_two_processes import gradient_of_a_batch
result = gradient_of_a_batch(Path({model!r}), {strategy!r})
import torch.distributed
assert torch.distributed.get_world_size() == 2
Path({out!r}).with_suffix(f".{{torch.distributed.get_rank()}}").write_bytes(pickle.dumps(result))
torch.distributed.destroy_process_group()
"""


def gradient_of_a_batch(folder: Path, strategy: Strategy) -> tuple[Gradient, float, dict[str, Any]]:
    """What one optimizer step finds on five windows with unequal numbers of supervised tokens, and what it leaves.

    Two processes do not get the same number of windows, nor of micro-batches.
    """
    model = load_model(folder, device="cpu")
    random = np.random.default_rng(0)
    weights_BT = (random.random((5, 10)) < np.linspace(0.1, 0.9, 5)[:, None]).astype(np.float32)
    weights_BT[:, 0] = 0
    batch = Batch(random.integers(0, 290, (5, 10)), weights_BT, np.ones((5, 10), np.int64))
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    module = spread(objective(model), accelerator, strategy=strategy)
    inner = unwrapped(module)
    optimizer = adamw(inner, weight_decay=0.1, betas=(0.9, 0.95))
    found = accumulate(module, batch, components=components("cross_entropy"), accelerator=accelerator, micro_batch=2)
    norm = gradient_norm(inner)
    clip(inner, norm, limit=0.5 * norm)
    gradients = {name: whole(parameter.grad).numpy() for name, parameter in inner.named_parameters()}
    optimizer.step()
    state = optimizer_state(optimizer)
    weights = trained_weights(inner)
    put_back(inner, weights)
    put_back_optimizer(optimizer, state)
    again = optimizer_state(optimizer)
    for number, moments in state["state"].items():
        assert all(torch.equal(value, again["state"][number][name]) for name, value in moments.items())
    return found, norm, gradients


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_processes_find_the_gradient_and_the_losses_of_one(tmp_path: Path, strategy: Strategy):
    model, out = tiny_model(tmp_path / "model", layers=1), tmp_path / "result"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = Path(__file__).parent
    script = WORKER.format(tests=str(here.parent), here=str(here), model=str(model), out=str(out), strategy=strategy)
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"} for rank in range(2)]
    children = [
        subprocess.Popen([sys.executable, "-c", script], env={**os.environ, **shared, **rank}) for rank in ranks
    ]
    assert [child.wait() for child in children] == [0, 0]
    alone, norm, wanted = gradient_of_a_batch(model, strategy)
    for rank in range(2):
        found, found_norm, gradients = pickle.loads(out.with_suffix(f".{rank}").read_bytes())
        assert found.total == pytest.approx(alone.total, rel=1e-6)
        assert found.tokens == alone.tokens
        assert found_norm == pytest.approx(norm, rel=1e-5)
        for name, gradient in wanted.items():
            np.testing.assert_allclose(gradients[name], gradient, rtol=1e-4, atol=1e-6, err_msg=name)
