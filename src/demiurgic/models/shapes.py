"""The sizes a new model can have: a table of LLaMA-style decoders.

Every input width of a matrix (hidden, heads × head_dim, intermediate) is a multiple of 256 in the table, the block of
the k-quants of GGUF, so that each of its models compresses without falling back to a coarser type.
"""

from collections.abc import Mapping

from demiurgic.core.errors import UserError, unknown
from demiurgic.core.metric import JSON
from demiurgic.models.memory import TRAINING_LENGTH, Use, inference, training
from demiurgic.models.shape import RopeScaling, Shape, parameters


def find_shape(name: str) -> Shape:
    """The shape of that name; raises UserError with the nearest name when there is none."""
    if name not in SHAPES:
        raise UserError(unknown("shape", name, SHAPES))
    return SHAPES[name]


def describe(name: str) -> dict[str, JSON]:
    """All that is known of a shape before it is built: dimensions, parameters by part, bytes by use and part.

    Raises UserError for an unknown name.
    """
    shape = find_shape(name)
    counts = parameters(shape)
    return {
        "name": name,
        "description": shape.description,
        "shape": shape.model_dump(mode="json", exclude={"description"}),
        "parameters": {**counts.model_dump(), "total": counts.total},
        "training": {"length": TRAINING_LENGTH, "memory_bytes": _table(training(shape))},
        "inference": {"context": shape.context, "memory_bytes": _table(inference(shape))},
    }


def _table(uses: list[Use]) -> dict[str, JSON]:
    return {use.name: {**use.parts, "total": use.total} for use in uses}


_LONG = RopeScaling()

SHAPES: Mapping[str, Shape] = {
    "2m": Shape(
        description="Two layers of 256: a student for a CPU.",
        hidden=256, layers=2, heads=4, kv_heads=1, head_dim=64, intermediate=512, vocab=4096,
    ),
    "4m": Shape(
        description="Four layers of 256: a teacher for a CPU.",
        hidden=256, layers=4, heads=4, kv_heads=2, head_dim=64, intermediate=768, vocab=4096,
    ),
    "10m": Shape(
        description="Ten layers of 256, with twice the vocabulary of 4m.",
        hidden=256, layers=10, heads=4, kv_heads=2, head_dim=64, intermediate=768, vocab=8192,
    ),
    "100m": Shape(
        description="GPT-2 small's depth and width.",
        hidden=768, layers=12, heads=12, kv_heads=4, head_dim=64, intermediate=2048, vocab=32_768,
    ),
    "350m": Shape(
        description="Deep and narrow, 28 layers of 1,024.",
        hidden=1024, layers=28, heads=16, kv_heads=4, head_dim=64, intermediate=2816, vocab=32_768, context=4096,
    ),
    "1b": Shape(
        description="TinyLlama's width, 20 layers, a context of 8,192.",
        hidden=2048, layers=20, heads=32, kv_heads=8, head_dim=64, intermediate=5632, vocab=65_536, context=8192,
        rope_theta=500_000.0,
    ),
    "7b": Shape(
        description="Mistral 7B's dimensions, a context of 131,072.",
        hidden=4096, layers=32, heads=32, kv_heads=8, head_dim=128, intermediate=14_336, vocab=32_768, context=131_072,
        rope_theta=500_000.0, rope_scaling=_LONG, tied=False,
    ),
    "13b": Shape(
        description="Qwen3 14B's dimensions with a smaller vocabulary.",
        hidden=5120, layers=40, heads=40, kv_heads=8, head_dim=128, intermediate=17_408, vocab=32_768, context=131_072,
        rope_theta=500_000.0, rope_scaling=_LONG, tied=False,
    ),
    "30b": Shape(
        description="Qwen2.5 32B's dimensions with LLaMA 3's vocabulary size.",
        hidden=5120, layers=64, heads=40, kv_heads=8, head_dim=128, intermediate=27_648, vocab=128_256, context=131_072,
        rope_theta=500_000.0, rope_scaling=_LONG, tied=False,
    ),
    "70b": Shape(
        description="LLaMA 3 70B's dimensions.",
        hidden=8192, layers=80, heads=64, kv_heads=8, head_dim=128, intermediate=28_672, vocab=128_256, context=131_072,
        rope_theta=500_000.0, rope_scaling=_LONG, tied=False,
    ),
}  # fmt: skip
