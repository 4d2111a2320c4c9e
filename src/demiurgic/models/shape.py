"""What a shape is: the dimensions of a LLaMA-style decoder, and how many parameters each part of one holds."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

K_QUANT_BLOCK = 256
"""Numbers of one block of the k-quants of GGUF, which quantize a matrix along its input."""


class RopeScaling(BaseModel):
    """How rotary positions trained up to `original_context` are stretched (LLaMA 3.1's rule, arXiv 2407.21783, 3.4.2).

    Wavelengths longer than `original_context / low_freq_factor` are stretched by `factor`, those shorter than
    `original_context / high_freq_factor` are kept, those between are interpolated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factor: float = Field(8.0, ge=1)
    low_freq_factor: float = Field(1.0, gt=0)
    high_freq_factor: float = Field(4.0, gt=0)
    original_context: PositiveInt = 8192


class Shape(BaseModel):
    """The dimensions of a LLaMA-style decoder: RMS norms, rotary positions, grouped-query attention, SwiGLU."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = "written out in a recipe"
    hidden: PositiveInt
    layers: PositiveInt
    heads: PositiveInt
    kv_heads: PositiveInt
    head_dim: PositiveInt
    intermediate: PositiveInt
    vocab: PositiveInt = 4096
    """The vocabulary that the name of the shape counts with; a model takes its tokenizer's."""
    context: PositiveInt = 2048
    rope_theta: float = Field(10_000.0, gt=0)
    rope_scaling: RopeScaling | None = None
    tied: bool = True
    """Whether input and output embedding are one matrix."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        if self.hidden % self.heads:
            raise ValueError(f"hidden ({self.hidden}) must be a multiple of heads ({self.heads})")
        if self.head_dim % 2:
            raise ValueError(f"head_dim ({self.head_dim}) must be even: rotary positions turn pairs")
        return self


def takes_k_quants(shape: Shape) -> bool:
    """Whether every input width of a matrix is whole blocks; else such matrices fall back to a coarser type."""
    widths = (shape.hidden, shape.heads * shape.head_dim, shape.intermediate)
    return all(width % K_QUANT_BLOCK == 0 for width in widths)


class Parameters(BaseModel):
    """How many parameters each part holds. `head` is 0 where the output embedding is the input embedding."""

    model_config = ConfigDict(frozen=True)

    embedding: int
    attention: int
    mlp: int
    norms: int
    head: int

    @property
    def total(self) -> int:
        return self.embedding + self.attention + self.mlp + self.norms + self.head


def parameters(shape: Shape, *, vocab: int | None = None) -> Parameters:
    """The exact parameter counts with a vocabulary of `vocab` tokens (the shape's own when None)."""
    vocab = vocab or shape.vocab
    query_width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return Parameters(
        embedding=vocab * shape.hidden,
        attention=shape.layers * shape.hidden * (2 * query_width + 2 * kv_width),
        mlp=shape.layers * 3 * shape.hidden * shape.intermediate,
        norms=(2 * shape.layers + 1) * shape.hidden,
        head=0 if shape.tied else vocab * shape.hidden,
    )
