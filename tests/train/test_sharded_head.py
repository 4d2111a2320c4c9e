"""A head that is spread over two processes: the gradient of each shard is the mean of what both found."""

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
from two_processes import on_two_processes

V, D, N = 33, 8, 20


def weight() -> Tensor:
    return torch.randn(V, D, generator=torch.Generator().manual_seed(1))


def tokens_of(rank: int) -> tuple[Tensor, Supervised]:
    random = torch.Generator().manual_seed(10 + rank)
    teacher = FixedTeacher(torch.randn(N, V, generator=random))
    hidden_ND, labels_N = torch.randn(N, D, generator=random), torch.randint(0, V, (N,), generator=random)
    return hidden_ND, Supervised(labels_N, torch.full((N,), 1 / N), teacher)


def gradient_of_a_shard() -> tuple[float, Tensor]:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard, distribute_tensor

    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (2,))
    sharded = distribute_tensor(weight(), mesh, [Shard(0)]).requires_grad_()
    hidden_ND, tokens = tokens_of(dist.get_rank())
    chosen = components("jsd", "cross_entropy")
    losses = checkpointed_losses(hidden_ND, OutputHead(sharded), tokens, components=chosen, workspace=Workspace())
    losses.total.backward()
    assert isinstance(sharded.grad, DTensor)
    return losses.total.item(), sharded.grad.to_local()


def test_a_head_spread_over_two_processes_gets_the_mean_gradient(tmp_path: Path):
    found = on_two_processes(gradient_of_a_shard, out=tmp_path)
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
