"""An objective spread over the processes that train it, and the few numbers on which they must agree.

Three ways. `ddp`: each process holds the whole model and the gradients are averaged (DistributedDataParallel). `fsdp2`:
each holds a shard of every parameter, of its gradient and of its optimizer state; a block's parameters are put together
while it runs (PyTorch's `fully_shard`). Embedding, last norm and head belong to the root and stay together from the
forward pass to the end of the backward pass, so that the losses read a plain head. `deepspeed`: each holds the whole
weights, and a shard of gradients and optimizer state (train/zero.py).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal

from demiurgic.core.errors import UserError
from demiurgic.models.precision import Precision, autocast
from demiurgic.run.context import Strategy
from demiurgic.train.zero import (
    ZeroOptimizer,
    before_the_last,
    is_under_zero,
    is_zero_engine,
    own_gradients,
    under_zero,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer


def spread(objective: "Module", accelerator: Any, *, strategy: Strategy) -> "Module":
    """The objective as the loop calls it, by DDP or FSDP2. On one process it stays as it is.

    Raises UserError for a 4-bit base in shards.
    """
    assert strategy != "deepspeed" or accelerator.num_processes == 1, "DeepSpeed spreads the optimizer, too"
    if strategy == "fsdp2" and accelerator.num_processes > 1:
        return _sharded(objective, accelerator)
    wrapped: Module = accelerator.prepare(objective)
    return wrapped


def spread_with_optimizer(
    objective: "Module",
    accelerator: Any,
    *,
    strategy: Strategy,
    optimizer: "Callable[[Module], Optimizer]",
    micro_batch: int,
) -> "tuple[Module, Optimizer | ZeroOptimizer]":
    """The objective as the loop calls it, and the optimizer over what became of its parameters.

    Raises UserError for a 4-bit base in shards, and where DeepSpeed is wanted and missing.
    """
    if strategy == "deepspeed" and accelerator.num_processes > 1:
        device, precision = accelerator.device, _precision(accelerator)
        return under_zero(objective, optimizer(objective), device=device, precision=precision, micro_batch=micro_batch)
    wrapped = spread(objective, accelerator, strategy=strategy)
    return wrapped, optimizer(unwrapped(wrapped))


def unwrapped(objective: "Module") -> "Module":
    """The objective itself, with the names of its parameters as they are on one process."""
    from torch.nn.parallel import DistributedDataParallel

    wrapped = isinstance(objective, DistributedDataParallel) or is_zero_engine(objective)
    inner: Any = objective.module if wrapped else objective
    found: Module = inner
    return found


@contextmanager
def without_sync(objective: "Module") -> Iterator[None]:
    """A backward pass in here leaves the gradients of other processes for a later one.

    Shards are added up at once all the same: whole gradients of all parameters are what shards are there to avoid.
    """
    from torch.nn.parallel import DistributedDataParallel

    if isinstance(objective, DistributedDataParallel):
        with objective.no_sync():
            yield
    elif is_zero_engine(objective):
        with before_the_last(objective):
            yield
    else:
        yield


def backward(objective: "Module", total: "Tensor", accelerator: Any) -> None:
    """Add the gradient of `total`, which the objective gave, to the parameters."""
    if is_zero_engine(objective):
        objective.backward(total)  # type: ignore[operator]
    else:
        accelerator.backward(total)


def gradients(module: "Module") -> "Iterator[tuple[str, Tensor]]":
    """What this process holds of the gradient of a step, by parameter: all of it, or under ZeRO the part it owns."""
    if is_under_zero(module):
        yield from own_gradients(module)
        return
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            yield name, parameter.grad


def back_to_shards(objective: "Module") -> None:
    """After forward passes without a backward pass, whose end it would be that cuts the root again."""
    if is_spread_in_shards(objective):
        objective.reshard()  # type: ignore[operator]


def is_spread_in_shards(objective: "Module") -> bool:
    from torch.distributed.fsdp import FSDPModule

    return isinstance(objective, FSDPModule)


def autocast_of(accelerator: Any, objective: "Module") -> AbstractContextManager[object]:
    """The context of the accelerator's precision, for the objective's forward passes."""
    precision = _precision(accelerator)
    # torch keeps the bf16 copies of weights until the end of a forward pass: of all blocks, which shards are to avoid
    return autocast(accelerator.device, precision, keep_weights=not is_spread_in_shards(objective))


def _precision(accelerator: Any) -> Precision:
    return "bf16" if accelerator.mixed_precision == "bf16" else "fp32"


def largest(values: Sequence[float], accelerator: Any) -> list[float]:
    """Of each value the largest among all processes: one small message."""
    return _reduced(values, accelerator, by="MAX")


def summed(values: Sequence[float], accelerator: Any) -> list[float]:
    """Each value summed over all processes."""
    return _reduced(values, accelerator, by="SUM")


def _reduced(values: Sequence[float], accelerator: Any, *, by: Literal["MAX", "SUM"]) -> list[float]:
    if accelerator.num_processes == 1:
        return list(values)
    import torch
    import torch.distributed as dist

    found = torch.tensor(values, dtype=torch.float64, device=accelerator.device)
    dist.all_reduce(found, op=getattr(dist.ReduceOp, by))
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
