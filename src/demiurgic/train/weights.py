"""What a training changes, as whole tensors: the parameters that get a gradient, and the optimizer's state of them.

Where several processes hold a shard of each, the shards are put together on the way out and cut on the way in; all
processes must take part. One tensor is whole at a time, and goes to the CPU where it is kept. What is written is the
same whatever held it, so that a training goes on with any number of processes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from demiurgic.train.zero import ZeroOptimizer, refresh_masters

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer

STUDENT = "model."
"""What the names of the student's own parameters begin with in the objective; others are there for a loss alone."""


def trained_weights(module: "Module", *, keep: bool = True) -> "dict[str, Tensor]":
    """The trained parameters by name, each once where several names share one. They go on changing: save them at once.

    A process that only takes part, with `keep` False, gets none. Decoders keep no other state than parameters; what
    does not change is on disk as the start weights.
    """
    trained = ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)
    found = ((name, _taken_out(parameter.detach(), keep=keep)) for name, parameter in trained)
    return {name: weight for name, weight in found if weight is not None}


def put_back(module: "Module", weights: "Mapping[str, Tensor]") -> None:
    """Set the trained parameters to what `trained_weights` gave earlier."""
    import torch

    own = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if own.keys() != weights.keys():
        raise AssertionError(f"these weights are not of this training: {min(own.keys() ^ weights.keys())} differs")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(_cut_like(parameter, weights[name]))
    refresh_masters(list(own.values()))


def of_student(weights: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Of an objective's weights those of the student, by the names they have there."""
    return {name.removeprefix(STUDENT): weight for name, weight in weights.items() if name.startswith(STUDENT)}


def optimizer_state(optimizer: "Optimizer | ZeroOptimizer", *, keep: bool = True) -> dict[str, Any]:
    """The optimizer's state dict with whole tensors; without `keep`, with None in their places."""
    found = optimizer.state_dict()
    states = {
        number: {name: _taken_out(value, keep=keep) for name, value in state.items()}
        for number, state in found["state"].items()
    }
    return {"state": states, "param_groups": found["param_groups"]}


def put_back_optimizer(optimizer: "Optimizer | ZeroOptimizer", state: Mapping[str, Any]) -> None:
    """Set the optimizer to what `optimizer_state` gave earlier."""
    if isinstance(optimizer, ZeroOptimizer):
        optimizer.load_state_dict(state)
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    states = {
        number: {name: _cut_like(parameters[number], value) for name, value in values.items()}
        for number, values in state["state"].items()
    }
    optimizer.load_state_dict({"state": states, "param_groups": state["param_groups"]})


def whole(value: Any) -> Any:
    """The whole tensor of a sharded one; anything else as it is."""
    return value.full_tensor() if is_sharded(value) else value


def is_sharded(value: Any) -> bool:
    """Whether each process holds a part of this tensor (a DTensor)."""
    return hasattr(value, "full_tensor")


def _taken_out(value: "Tensor", *, keep: bool) -> "Tensor | None":
    """The whole tensor, on the CPU if it was put together for this; None where it is not kept."""
    found: Tensor = whole(value)
    if not keep:
        return None
    return found.cpu() if is_sharded(value) else found


def _cut_like(own: "Tensor", value: "Tensor") -> "Tensor":
    """A copy of a whole tensor, cut as `own` is: what was read may be mapped from a file that is to go.

    The optimizer's step count is a tensor of no dimension, which every process keeps.
    """
    if not is_sharded(own) or value.ndim == 0:
        return value.to(own.device, copy=True)
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(own, DTensor)
    # every process read the same file: nothing is sent
    return distribute_tensor(value.to(own.device), own.device_mesh, own.placements, src_data_rank=None)
