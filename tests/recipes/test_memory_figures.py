"""What the comments of the recipes say of memory is what models/memory.py computes for their presets."""

import re
from pathlib import Path

import pytest

import demiurgic
from demiurgic.models.memory import ADAMW_BYTES, NF4_BITS, activation_bytes, lora_parameters
from demiurgic.models.shape import Shape, parameters

RECIPES = Path(__file__).parents[2] / "recipes"
STUDENTS = {
    "llama_8b": Shape(
        description="Llama-3.1-8B", hidden=4096, layers=32, heads=32, kv_heads=8, head_dim=128, intermediate=14_336,
        vocab=128_256, context=131_072, tied=False,
    ),
    "qwen_7b": Shape(
        description="Qwen2.5-7B, but for its biases", hidden=3584, layers=28, heads=28, kv_heads=4, head_dim=128,
        intermediate=18_944, vocab=152_064, context=32_768, tied=False,
    ),
}  # fmt: skip
every_recipe = pytest.mark.parametrize("name", STUDENTS)
LENGTH, RANK = 2048, 64


def base_bytes(shape: Shape, *, each: int, nf4: bool) -> float:
    """The frozen weights, `each` bytes a number, and with `nf4` the blocks' matrices in 4 bits."""
    counts = parameters(shape)
    packed = counts.attention + counts.mlp if nf4 else 0
    return packed * NF4_BITS / 8 + (counts.total - packed) * each


def adapter_bytes(shape: Shape) -> int:
    return ADAMW_BYTES * lora_parameters(shape, rank=RANK)


def activations(shape: Shape, *, each: int, checkpointing: bool) -> int:
    return activation_bytes(shape, length=LENGTH, each=each, checkpointing=checkpointing)


def numbers(name: str, pattern: str) -> list[str]:
    """What the one place that fits the pattern says, its line breaks and comment signs aside."""
    text = re.sub(r"\n# +", " ", (RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    (found,) = re.findall(pattern, text)
    return [found] if isinstance(found, str) else list(found)


def said(num_bytes: float, like: str) -> str:
    """In GB, with as many decimals."""
    return f"{num_bytes / 1e9:.{len(like.partition('.')[2])}f}"


@every_recipe
def test_the_parts_are_those_of_the_estimate(name: str):
    shape = STUDENTS[name]
    computed = [
        base_bytes(shape, each=2, nf4=False),
        base_bytes(shape, each=4, nf4=True),
        adapter_bytes(shape),
        *(activations(shape, each=each, checkpointing=there) for each in (2, 4) for there in (True, False)),
        4 * parameters(shape).total,
        ADAMW_BYTES * parameters(shape).total + activations(shape, each=2, checkpointing=True),
    ]
    found = [
        *numbers(name, r"base ([\d.]+) GB in bf16, or ([\d.]+) GB in nf4 .* optimizer ([\d.]+) GB"),
        *numbers(name, r"([\d.]+) GB with gradient checkpointing, ([\d.]+) GB without"),
        *numbers(name, r"\(fp32: ([\d.]+) and ([\d.]+) GB\)"),
        *numbers(name, r"the student in `merged`, `score`, `forgets` and `file` ([\d.]+) GB"),
        *numbers(name, r"All weights instead: ([\d.]+) GB"),
    ]
    assert found == [said(wanted, like) for wanted, like in zip(computed, found, strict=True)]


@every_recipe
@pytest.mark.parametrize("preset", ["40gb", "80gb", "h100", "t4"])
def test_a_preset_needs_what_stands_beside_it(name: str, preset: str):
    shape = STUDENTS[name]
    steps = demiurgic.load_recipe(name, preset=preset).steps
    config = steps["student"].config
    assert (steps["rows"].config.length, config.lora.rank) == (LENGTH, RANK)
    each = 4 if config.precision == "fp32" else 2
    window = activations(shape, each=each, checkpointing=config.gradient_checkpointing)
    base = base_bytes(shape, each=each, nf4=config.lora.precision == "nf4")
    (found,) = numbers(name, rf"  {preset}:.*# (\d+) GB")
    assert found == said(base + adapter_bytes(shape) + config.micro_batch * window, found)
