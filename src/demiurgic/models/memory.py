"""How much memory a shape asks for, in training and in use: estimates from its parameter counts, before anything runs.

All figures are bytes. Left out: the framework's own (about 0.5 to 1 GB on CUDA), fragmentation, and the loss, which
never holds logits of more than a chunk of tokens.
"""

from typing import Any, NamedTuple, Self

from demiurgic.models.shape import Parameters, Shape, parameters

ADAMW_BYTES = 2 + 2 + 4 + 4 + 4
"""Per trained parameter: bf16 weight and gradient, fp32 master weight, fp32 first and second moment (ZeRO,
arXiv 1910.02054, section 3.1). fp32 weights under autocast come to the same: 4 + 4 + 4 + 4."""
NF4_BITS = 4 + 8 / 64 + 32 / (64 * 256)
"""4-bit weights in blocks of 64, 8-bit scales, scales of scales per 256 (QLoRA, arXiv 2305.14314, section 3)."""
Q4_K_BITS = 144 * 8 / 256
"""A q4_k block of GGUF: 144 bytes per 256 weights."""
Q6_K_BITS = 210 * 8 / 256
"""A q6_k block of GGUF: 210 bytes per 256 weights."""
LORA_RANK = 64
TRAINING_LENGTH = 2048
"""Tokens per sequence that the activations are stated for."""


class Use(NamedTuple):
    """What one way of using a model holds in memory, by part."""

    name: str
    parts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.parts.values())


def lora_parameters(shape: Shape, *, rank: int) -> int:
    """Parameters of adapters on all seven matrices of every layer: rank × (inputs + outputs) each."""
    query_width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = 2 * (shape.hidden + query_width) + 2 * (shape.hidden + kv_width)
    return shape.layers * rank * (attention + 3 * (shape.hidden + shape.intermediate))


def kv_cache_bytes(shape: Shape, *, context: int) -> int:
    """Keys and values of every layer in 16 bits, for one conversation that fills the context."""
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * context * 2


class Widths(NamedTuple):
    """What the size of a decoder's activations depends on."""

    layers: int
    hidden: int
    query: int
    """Of all heads together, as `kv`."""
    kv: int
    intermediate: int
    heads: int

    @classmethod
    def of_shape(cls, shape: Shape) -> Self:
        query, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        return cls(shape.layers, shape.hidden, query, kv, shape.intermediate, shape.heads)

    @classmethod
    def of_config(cls, config: Any) -> Self:
        """Of a model of transformers, by its config."""
        heads = config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        layers, hidden = config.num_hidden_layers, config.hidden_size
        intermediate = getattr(config, "intermediate_size", None) or 4 * hidden
        return cls(layers, hidden, heads * head_dim, kv_heads * head_dim, intermediate, heads)


def activation_bytes(
    shape: Shape | Widths, *, length: int, windows: int = 1, checkpointing: bool = True, each: int = 2
) -> int:
    """Activations of sequences of `length` tokens, `each` bytes a number: an estimate.

    With gradient checkpointing the input of every layer is kept (hidden), and while one layer is computed again its own
    intermediate results: two norms' outputs, query, key, value, attention output and its projection, and gate, up and
    their product. Without, those of all layers are kept.
    """
    widths = Widths.of_shape(shape) if isinstance(shape, Shape) else shape
    layer = 3 * widths.hidden + 2 * widths.query + 2 * widths.kv + 3 * widths.intermediate
    kept = widths.layers * widths.hidden + layer * (1 if checkpointing else widths.layers)
    return each * windows * length * kept


def attention_score_bytes(widths: Widths, *, length: int, windows: int, checkpointing: bool, each: int = 4) -> int:
    """What plain attention (`eager`) keeps beside: the scores of every pair of tokens, before and after the softmax."""
    return 2 * each * windows * widths.heads * length**2 * (1 if checkpointing else widths.layers)


def training(
    shape: Shape, *, vocab: int | None = None, rank: int = LORA_RANK, length: int = TRAINING_LENGTH
) -> list[Use]:
    """Memory for training on one sequence of `length` tokens at a time.

    Full: 16 bytes per parameter. LoRA: the frozen base in bf16 and 16 bytes per adapter parameter. QLoRA: the same
    with the layers' matrices in NF4; embeddings, norms and head stay in bf16. Each with the activations.
    """
    counts = parameters(shape, vocab=vocab)
    lora = lora_parameters(shape, rank=rank)
    activations = activation_bytes(shape, length=length)
    adapter = {"adapter, its gradients and optimizer": ADAMW_BYTES * lora, "activations": activations}
    return [
        Use(
            "full",
            {
                "weights and gradients (bf16)": 4 * counts.total,
                "optimizer (AdamW, fp32 master weights)": 12 * counts.total,
                "activations": activations,
            },
        ),
        Use(f"lora, rank {rank}", {"weights (bf16)": 2 * counts.total, **adapter}),
        Use(f"qlora, rank {rank}", {"weights (nf4, rest bf16)": _mixed(counts, NF4_BITS, rest_bits=16), **adapter}),
    ]


def inference(shape: Shape, *, vocab: int | None = None, context: int | None = None) -> list[Use]:
    """Memory for one conversation that fills the context: weights, and keys and values in 16 bits.

    4-bit: the layers' matrices in q4_k, embeddings and head in q6_k (norms counted with them), as in GGUF.
    """
    counts = parameters(shape, vocab=vocab)
    cache = {"key-value cache": kv_cache_bytes(shape, context=context or shape.context)}
    return [
        Use("bf16", {"weights": 2 * counts.total, **cache}),
        Use("4-bit", {"weights": _mixed(counts, Q4_K_BITS, rest_bits=Q6_K_BITS), **cache}),
    ]


def _mixed(counts: Parameters, layer_bits: float, *, rest_bits: float) -> int:
    in_layers = counts.attention + counts.mlp
    return round((in_layers * layer_bits + (counts.total - in_layers) * rest_bits) / 8)
