"""The tensors of a model: what each is called in both worlds, how they are read, and how rows are put in order.

Nothing is dropped: a folder must hold exactly the tensors that its config promises. Knows nothing of quantization.

Shapes: O outputs (rows) and I inputs (row width) of a matrix.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.models.gguf.architecture import Architecture, Rope
from demiurgic.models.shards import DTYPES, StoredTensor, stored_tensors

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

DERIVED = ".rotary_emb.inv_freq"
"""Buffers that old checkpoints carry; they follow from the config."""


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """One tensor of the file and where it comes from."""

    name: str
    """GGUF's name."""
    source: str
    """transformers' name."""
    shape: tuple[int, ...]
    head_rows: int = 0
    """Rows of a head whose halves are to be interleaved; 0 where rows stay as they are."""

    @property
    def num_values(self) -> int:
        rows, *width = self.shape
        return rows * (width[0] if width else 1)


def plan_tensors(architecture: Architecture) -> list[TensorPlan]:
    """Every tensor that a model of this architecture has, in the order of the file."""
    wide, vocab = architecture.hidden, architecture.vocab_size
    plans = [TensorPlan("token_embd.weight", "model.embed_tokens.weight", (vocab, wide))]
    for layer in range(architecture.num_layers):
        plans += [_in_layer(plan, layer) for plan in _layer_plans(architecture)]
    plans.append(TensorPlan("output_norm.weight", "model.norm.weight", (wide,)))
    if not architecture.tied:
        plans.append(TensorPlan("output.weight", "lm_head.weight", (vocab, wide)))
    return plans


def _in_layer(plan: TensorPlan, layer: int) -> TensorPlan:
    return TensorPlan(f"blk.{layer}.{plan.name}", f"model.layers.{layer}.{plan.source}", plan.shape, plan.head_rows)


def _layer_plans(architecture: Architecture) -> Iterator[TensorPlan]:
    wide, inner, head = architecture.hidden, architecture.intermediate, architecture.head_dim
    queries, keys = architecture.num_heads * head, architecture.num_kv_heads * head
    turned = head if architecture.interleaved else 0
    yield TensorPlan("attn_norm.weight", "input_layernorm.weight", (wide,))
    matrices = (
        ("attn_q", "self_attn.q_proj", (queries, wide), turned, "qkv"),
        ("attn_k", "self_attn.k_proj", (keys, wide), turned, "qkv"),
        ("attn_v", "self_attn.v_proj", (keys, wide), 0, "qkv"),
        ("attn_output", "self_attn.o_proj", (wide, queries), 0, "o"),
        ("ffn_gate", "mlp.gate_proj", (inner, wide), 0, "mlp"),
        ("ffn_up", "mlp.up_proj", (inner, wide), 0, "mlp"),
        ("ffn_down", "mlp.down_proj", (wide, inner), 0, "mlp"),
    )
    for name, source, shape, head_rows, group in matrices:
        yield TensorPlan(f"{name}.weight", f"{source}.weight", shape, head_rows)
        if group in architecture.biased:
            yield TensorPlan(f"{name}.bias", f"{source}.bias", shape[:1], head_rows)
    if architecture.head_norms:
        yield TensorPlan("attn_q_norm.weight", "self_attn.q_norm.weight", (head,))
        yield TensorPlan("attn_k_norm.weight", "self_attn.k_norm.weight", (head,))
    yield TensorPlan("ffn_norm.weight", "post_attention_layernorm.weight", (wide,))


def interleave_halves(values_OI: "torch.Tensor", *, head_rows: int) -> "torch.Tensor":
    """Rows of queries or keys from transformers' order to llama.cpp's `llama`.

    Within each head row j of the first half is followed by row j of the second: transformers turns the pair
    (j, j + d/2), llama.cpp the neighbours (2j, 2j + 1).
    """
    split = values_OI.reshape(-1, 2, head_rows // 2, *values_OI.shape[1:])
    return split.transpose(1, 2).reshape(values_OI.shape)


def rope_factors(rope: Rope, head_dim: int) -> "NDArray[np.float32]":
    """What llama.cpp divides each frequency [head_dim / 2] by under LLaMA 3's stretching (`rope_freqs.weight`).

    Frequencies whose wavelength is short beside the original context stay, long ones are divided by `factor`, those
    between are interpolated (transformers, `_compute_llama3_parameters`). Rounded as llama.cpp's converter rounds.
    """
    import math

    import numpy as np
    import torch

    frequencies = 1.0 / (rope.base ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim))
    longest = rope.original_context / rope.low_frequency_factor
    shortest = rope.original_context / rope.high_frequency_factor
    span = rope.high_frequency_factor - rope.low_frequency_factor
    factors: list[float] = []
    for frequency in frequencies:
        wavelength = 2 * math.pi / frequency
        if wavelength < shortest:
            factors.append(1.0)
        elif wavelength > longest:
            factors.append(rope.factor)
        else:
            smooth = (rope.original_context / wavelength - rope.low_frequency_factor) / span
            factors.append(float(1 / ((1 - smooth) / rope.factor + smooth)))
    return np.array(factors, np.float32)


def planned_tensors(folder: Path, plans: Sequence[TensorPlan], *, tied: bool) -> dict[str, StoredTensor]:
    """The folder's tensors by transformers' name.

    Raises UserError unless they are exactly the planned ones, in shapes and types that can be read.
    """
    found = {name: tensor for name, tensor in stored_tensors(folder).items() if not name.endswith(DERIVED)}
    if tied and "lm_head.weight" in found:
        _refuse_another_head(found, folder)
        del found["lm_head.weight"]
    wanted = {plan.source for plan in plans}
    for what, names in (
        ("missing", wanted - found.keys()),
        ("that are no part of the architecture", found.keys() - wanted),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise UserError(
                f"{folder} has tensors {what}: {', '.join(sorted(names)[:3])}{more}. A GGUF holds the whole model or "
                "none of it: check that config.json belongs to these weights."
            )
    for plan in plans:
        _refuse_misfit(plan, found[plan.source], folder)
    return found


def read_rows(tensor: StoredTensor, *, start: int, stop: int) -> "torch.Tensor":
    """Rows of a stored tensor, as they are stored."""
    import torch

    row_bytes = (tensor.end - tensor.start) // tensor.shape[0]
    data = bytearray((stop - start) * row_bytes)
    with tensor.file.open("rb") as file:
        file.seek(tensor.start + start * row_bytes)
        if file.readinto(data) != len(data):
            raise UserError(f"{tensor.file} ends before its last tensor. Make the folder again.")
    return torch.frombuffer(data, dtype=tensor.torch_dtype).reshape(stop - start, *tensor.shape[1:])


def source_bytes(folder: Path) -> int:
    """Bytes of a model folder's tensors; what `write_gguf` advances its progress to.

    Raises UserError when there are none.
    """
    return sum(tensor.end - tensor.start for tensor in stored_tensors(folder).values())


def _refuse_misfit(plan: TensorPlan, stored: StoredTensor, folder: Path) -> None:
    if stored.shape != plan.shape:
        raise UserError(
            f"{folder}: {plan.source} has the shape {stored.shape} where config.json promises {plan.shape}. "
            "The config is not this model's: make or fetch the model again."
        )
    if stored.dtype not in DTYPES:
        raise UserError(
            f"{folder}: {plan.source} is stored as {stored.dtype}; wanted one of {', '.join(DTYPES)}. Export the model "
            "that this one was quantized from."
        )


def _refuse_another_head(stored: Mapping[str, StoredTensor], folder: Path) -> None:
    names = ("lm_head.weight", "model.embed_tokens.weight")
    tensors = [stored[name].read() for name in names if name in stored]
    if len(tensors) < 2 or tensors[0].shape != tensors[1].shape or not bool((tensors[0] == tensors[1]).all()):
        raise UserError(
            f"{folder} says tie_word_embeddings and stores a lm_head.weight that differs from the embedding. "
            "If the head is meant to be its own, set tie_word_embeddings: false in config.json of the folder it was "
            "fetched from, and fetch it again."
        )
