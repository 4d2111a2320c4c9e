"""A head that is spread over two processes: the gradient of each shard is the mean of what both found."""

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from demiurgic.models.head import OutputHead
from demiurgic.train.checkpointed_loss import checkpointed_losses
from demiurgic.train.chunk import Workspace
from demiurgic.train.head_loss import head_losses
from demiurgic.train.walk import Supervised
from tiny_training import FixedTeacher, components

V, D, N = 33, 8, 20

WORKER = """
import pickle, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
import torch.distributed
torch.distributed.init_process_group("gloo")
from test_sharded_head import gradient_of_a_shard
rank = torch.distributed.get_rank()
Path({out!r}).with_suffix(f".{{rank}}").write_bytes(pickle.dumps(gradient_of_a_shard(rank)))
torch.distributed.destroy_process_group()
"""


def weight() -> Tensor:
    return torch.randn(V, D, generator=torch.Generator().manual_seed(1))


def tokens_of(rank: int) -> tuple[Tensor, Supervised]:
    random = torch.Generator().manual_seed(10 + rank)
    teacher = FixedTeacher(torch.randn(N, V, generator=random))
    hidden_ND, labels_N = torch.randn(N, D, generator=random), torch.randint(0, V, (N,), generator=random)
    return hidden_ND, Supervised(labels_N, torch.full((N,), 1 / N), teacher)


def gradient_of_a_shard(rank: int) -> tuple[float, Tensor]:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (2,))
    sharded = distribute_tensor(weight(), mesh, [Shard(0)]).requires_grad_()
    hidden_ND, tokens = tokens_of(rank)
    chosen = components("jsd", "cross_entropy")
    losses = checkpointed_losses(hidden_ND, OutputHead(sharded), tokens, components=chosen, workspace=Workspace())
    losses.total.backward()
    assert isinstance(sharded.grad, DTensor)
    return losses.total.item(), sharded.grad.to_local()


def test_a_head_spread_over_two_processes_gets_the_mean_gradient(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    here = Path(__file__).parent
    code = WORKER.format(tests=str(here.parent), here=str(here), out=str(tmp_path / "out"))
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **common, "RANK": str(rank)})
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    found = [pickle.loads((tmp_path / "out").with_suffix(f".{rank}").read_bytes()) for rank in range(2)]

    gradients = []
    for rank in range(2):
        weight_VD = weight().requires_grad_()
        hidden_ND, tokens = tokens_of(rank)
        chosen = components("jsd", "cross_entropy")
        losses = head_losses(hidden_ND, OutputHead(weight_VD), tokens, components=chosen, workspace=Workspace())
        losses.total.backward()
        assert found[rank][0] == pytest.approx(losses.total.item(), rel=1e-12)
        gradients.append(weight_VD.grad)
    torch.testing.assert_close(torch.cat([found[0][1], found[1][1]]), (gradients[0] + gradients[1]) / 2)
