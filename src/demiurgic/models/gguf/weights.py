"""The weights that a GGUF really holds, put back in transformers' order and into the source model.

A source with the file's own weights differs from the file by the arithmetic of running it and by nothing else. So a
wrong field of the header (rope base, epsilon) shows, which the loss of a coarse type would hide; and the weights are
held against the source's one tensor at a time. Knows nothing of texts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.models.gguf.architecture import read_architecture
from demiurgic.models.gguf.tensors import TensorPlan, plan_tensors

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MAX_ERROR: Mapping[str, float] = {
    "f32": 0.0,
    "f16": 1e-3,
    "bf16": 8e-3,
    "q8_0": 0.02,
    "q6_k": 0.06,
    "q5_k": 0.12,
    "q5_1": 0.12,
    "q5_0": 0.12,
    "q4_k": 0.25,
    "q4_1": 0.25,
    "q4_0": 0.25,
    "iq4_nl": 0.25,
    "iq4_xs": 0.25,
    "q3_k": 0.45,
    "q2_k": 0.7,
}
"""The largest ‖file - source‖ / ‖source‖ of one tensor, by its type: two to four times what normally distributed
weights lose (f16 2e-4, q8_0 0.0054, q6_k 0.018, q5_k 0.036, q4_k 0.072, q4_0 0.087, q2_k 0.30). Rows in the wrong order
are off by 1.4, a tensor left out by 1."""
VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True, slots=True)
class WeightCheck:
    """How far the tensors of a file are from the source's: the one that is furthest beside what its type may lose."""

    tensors: int
    furthest: str
    error: float
    """‖file - source‖ / ‖source‖ of the furthest."""
    type: str

    @property
    def miss(self) -> str | None:
        if self.error <= MAX_ERROR[self.type]:
            return None
        return (
            f"the tensor {self.furthest} is {self.error:.1%} away from the source's, wanted at most "
            f"{MAX_ERROR[self.type]:.1%} in {self.type}"
        )


def take_weights(model: "PreTrainedModel", file: Path, source_folder: Path) -> WeightCheck:
    """Put the weights of a file into the model it was made from, in place, and compare them on the way."""
    import gguf

    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(file).tensors}
    parameters = dict(model.named_parameters())
    plans = plan_tensors(read_architecture(source_folder))
    found = [_taken(parameters[plan.source].data, stored[plan.name], plan) for plan in plans]
    worst = max(found, key=lambda each: (each.miss is not None, each.error / max(MAX_ERROR[each.type], 1e-9)))
    return WeightCheck(len(found), worst.furthest, worst.error, worst.type)


def _taken(source: "torch.Tensor", stored: Any, plan: TensorPlan) -> WeightCheck:
    import torch

    values = torch.empty(plan.shape, dtype=torch.float32)
    for start, rows in _dequantized(stored):
        values[start : start + len(rows)] = rows
    values = _halves_apart(values, head_rows=plan.head_rows).to(source.device)
    size = float(source.norm())
    error = float((values - source).norm())
    source.copy_(values)
    return WeightCheck(1, plan.name, error / size if size else error, stored.tensor_type.name.lower())


def _dequantized(stored: Any) -> "Iterator[tuple[int, torch.Tensor]]":
    """Some rows at a time in fp32, each with the number of its first."""
    import numpy as np
    import torch
    from gguf.quants import dequantize

    width = int(stored.shape[0]) if len(stored.shape) > 1 else 1
    step = max(1, VALUES_AT_ONCE // width)
    for start in range(0, len(stored.data), step):
        values = dequantize(stored.data[start : start + step], stored.tensor_type)
        yield start, torch.from_numpy(np.array(values, dtype=np.float32))


def _halves_apart(values: "torch.Tensor", *, head_rows: int) -> "torch.Tensor":
    """Rows of queries or keys back from llama.cpp's order, in which the halves of a head are interleaved."""
    if not head_rows:
        return values
    return values.reshape(-1, head_rows // 2, 2, *values.shape[1:]).transpose(1, 2).reshape(values.shape)
