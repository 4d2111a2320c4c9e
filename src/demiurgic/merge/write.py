"""The merge itself: W + s·B·A, tensor by tensor in fp32, into a new folder like the base's. Proves nothing.

Memory is one tensor beside the adapter. What is not merged is copied byte by byte.

Shapes: O outputs and I inputs of a linear layer.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.models.lora import Update, block_linears_of, read_updates
from demiurgic.models.nf4 import dequantized
from demiurgic.models.shards import StoredTensor, stored_tensors, write_changed

if TYPE_CHECKING:
    from torch import Tensor

Dtype = Literal["base", "fp32"]
"""What the merged weights are stored in: each as the base's, or all in fp32."""
Onto = Literal["base", "dequantized", "nf4"]
"""What the update is added to: the stored weights, what their 4-bit form computes with, or that and 4 bits again."""


@dataclass(frozen=True)
class Addition:
    """An adapter's updates by module, and what they were trained beside."""

    updates: Mapping[str, Update]
    linears: Sequence[str]
    """All linear layers of the base's blocks, which 4 bits change with or without an update."""
    nf4: bool
    """Whether the base was in 4 bits."""

    def start_OI(self, weight_OI: "Tensor") -> "Tensor":
        """What the adapter was trained beside, fp32."""
        return dequantized(weight_OI) if self.nf4 else weight_OI.float()

    def merged_OI(self, module: str, weight_OI: "Tensor", *, onto: Onto) -> "Tensor":
        """The stored weight of a module with its update, fp32."""
        start_OI = dequantized(weight_OI) if onto == "dequantized" else weight_OI.float()
        if onto == "nf4":
            start_OI = self.start_OI(weight_OI)
        update = self.updates.get(module)
        sum_OI = start_OI if update is None else start_OI + update.delta_OI()
        return dequantized(sum_OI) if onto == "nf4" else sum_OI


def read_addition(adapter: Path, *, base: Path, nf4: bool) -> Addition:
    """The updates of an adapter folder. Raises UserError when one does not fit the base, or all are zero."""
    linears = block_linears_of(base)
    tensors = stored_tensors(base)
    updates = {update.module: update for update in read_updates(adapter)}
    for module, update in updates.items():
        if module not in linears:
            raise UserError(
                f"The adapter {adapter} updates {module}, which is no linear layer in the blocks of {base}. It was "
                "trained on another base, or on embeddings or head; merge it into its own base, or adapt the blocks."
            )
        stored, wanted = tensors[f"{module}.weight"].shape, (update.b_OR.shape[0], update.a_RI.shape[1])
        if stored != wanted:
            raise UserError(
                f"The adapter {adapter} updates {module} with the shape {wanted}; the base {base} has {stored} there. "
                "It was trained on another base: merge it into its own."
            )
    if not any(update.delta_OI().any() for update in updates.values()):
        raise UserError(
            f"The adapter {adapter} changes nothing: every update is zero, as before the first training step. Train "
            "it, or use the base as it is."
        )
    return Addition(updates, linears, nf4)


def write_merged(base: Path, addition: Addition, out: Path, *, onto: Onto, dtype: Dtype = "base") -> None:
    """Write the merged model's folder: the base's files, with merged weights in the linear layers of the blocks.

    Raises UserError for a sum that the dtype cannot hold.
    """
    import torch

    shutil.copytree(base, out, ignore=shutil.ignore_patterns("*.safetensors"))
    modules = set(addition.updates) if onto == "base" else set(addition.linears)

    def merged(stored: StoredTensor) -> "Tensor | None":
        module = stored.name.removesuffix(".weight")
        return addition.merged_OI(module, stored.read(), onto=onto) if module in modules else None

    with torch.no_grad():
        write_changed(base, out, dtype="F32" if dtype == "fp32" else None, change=merged)
    if dtype == "fp32":
        _say_float32(out / "config.json")


def _say_float32(path: Path) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    write_text(path, json.dumps({**config, "dtype": "float32"}, indent=2) + "\n")
