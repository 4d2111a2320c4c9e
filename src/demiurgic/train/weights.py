"""What a training changes: the parameters that get a gradient. All of a model, or an adapter's few megabytes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def trained_weights(model: "Module") -> "dict[str, Tensor]":
    """The trained parameters by name, each once where several names share one. They go on changing: save them at once.

    Decoders keep no other state than parameters; what does not change is on disk as the start weights.
    """
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


def put_back(model: "Module", weights: "Mapping[str, Tensor]") -> None:
    """Set the trained parameters to what `trained_weights` gave earlier."""
    import torch

    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if own.keys() != weights.keys():
        raise AssertionError(f"these weights are not of this training: {min(own.keys() ^ weights.keys())} differs")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(weights[name])
