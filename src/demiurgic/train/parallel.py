"""An objective spread over the processes that train it, and the few numbers on which they must agree.

Two ways. `ddp`: each process holds the whole model and the gradients are averaged (PyTorch's DistributedDataParallel).
`fsdp2`: each holds a shard of every parameter, of its gradient and of its optimizer state; a block's parameters are put
together while it runs (PyTorch's `fully_shard`). Embedding, last norm and head belong to the root and stay together
from the forward pass to the end of the backward pass, so that the losses read a plain head.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.models.precision import Precision, autocast
from demiurgic.run.context import Strategy

if TYPE_CHECKING:
    from torch.nn import Module


def spread(objective: "Module", accelerator: Any, *, strategy: Strategy) -> "Module":
    """The objective as the loop calls it. On one process it stays as it is.

    Raises UserError for a 4-bit base in shards.
    """
    if strategy == "fsdp2" and accelerator.num_processes > 1:
        return _sharded(objective, accelerator)
    wrapped: Module = accelerator.prepare(objective)
    return wrapped


def unwrapped(objective: "Module") -> "Module":
    """The objective itself, with the names of its parameters as they are on one process."""
    from torch.nn.parallel import DistributedDataParallel

    inner: Module = objective.module if isinstance(objective, DistributedDataParallel) else objective
    return inner


@contextmanager
def without_sync(objective: "Module") -> Iterator[None]:
    """A backward pass in here leaves the gradients of other processes for a later one.

    Shards are added up at once all the same: whole gradients of all parameters are what shards are there to avoid.
    """
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(objective, DistributedDataParallel):
        with objective.no_sync():
            yield
    else:
        yield


def back_to_shards(objective: "Module") -> None:
    """After forward passes without a backward pass, whose end it would be that cuts the root again."""
    if is_spread_in_shards(objective):
        objective.reshard()  # type: ignore[operator]


def is_spread_in_shards(objective: "Module") -> bool:
    from torch.distributed.fsdp import FSDPModule

    return isinstance(objective, FSDPModule)


def autocast_of(accelerator: Any, objective: "Module") -> AbstractContextManager[object]:
    """The context of the accelerator's precision, for the objective's forward passes."""
    precision: Precision = "bf16" if accelerator.mixed_precision == "bf16" else "fp32"
    # torch keeps the bf16 copies of weights until the end of a forward pass: of all blocks, which shards are to avoid
    return autocast(accelerator.device, precision, keep_weights=not is_spread_in_shards(objective))


def largest(values: Sequence[float], accelerator: Any) -> list[float]:
    """Of each value the largest among all processes: one small message."""
    if accelerator.num_processes == 1:
        return list(values)
    import torch
    import torch.distributed as dist

    found = torch.tensor(values, dtype=torch.float64, device=accelerator.device)
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return [float(value) for value in found.tolist()]


def _sharded(objective: "Module", accelerator: Any) -> "Module":
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model: Any = objective.model
    if any(type(parameter).__name__ == "Params4bit" for parameter in model.parameters()):
        raise UserError(
            "A base in 4 bits cannot be cut into shards: its weights are packed blocks. Use --strategy ddp, or "
            "lora: {precision: full}."
        )
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for block in model.get_decoder().layers:
        fully_shard(block, mesh=mesh)
    fully_shard(objective, mesh=mesh)
    return objective
