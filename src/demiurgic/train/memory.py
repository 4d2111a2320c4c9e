"""What a training asks of memory, by part, and what to change when it does not fit.

Parameters are counted exactly, on a model without weights; activations are an estimate (models/memory.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Model
from demiurgic.core.console import Console, size
from demiurgic.core.errors import UserError
from demiurgic.models.memory import NF4_BITS, Use, Widths, activation_bytes, attention_score_bytes
from demiurgic.models.windows import Windows
from demiurgic.train.config import TrainConfig

if TYPE_CHECKING:
    import torch

LOSS_BUFFERS = 6
"""Arrays [tokens of a chunk, vocabulary] that are lent at once, at most: student, teacher, their probabilities, two of
a loss."""
CPU_WORDS = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")


@contextmanager
def too_little_is_a_users_matter(config: TrainConfig, *, processes: int) -> Iterator[None]:
    """Turn "out of memory" into a UserError with the estimate by part and the settings to change. All else passes."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        needs = needs_of(config, processes=processes)
        said = str(error).partition("\n")[0].rpartition("DefaultCPUAllocator: ")[2] or type(error).__name__
        raise UserError(
            f"The training does not fit into memory ({said}). {account(needs)} {advice(config, needs)} The same "
            "command goes on from the last checkpoint."
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CPU_WORDS)


def refuse_what_cannot_fit(config: TrainConfig, device: "torch.device", *, processes: int, console: Console) -> None:
    """Compare the estimate with a GPU's memory before anything is loaded there.

    Raises UserError when what is counted exactly does not fit; where only the activations' estimate says so, it is
    said. On a CPU, where memory is shared with all else, nothing is compared.
    """
    if device.type != "cuda":
        return
    import torch

    needs = needs_of(config, processes=processes)
    _, there = torch.cuda.mem_get_info(device)
    certain = needs.total - needs.parts["activations"]
    if certain > there:
        raise UserError(
            f"The training does not fit: the GPU has {size(there)}. {account(needs)} {advice(config, needs)}"
        )
    if needs.total > there:
        console.say(f"  This may not fit into the GPU's {size(there)}. {account(needs)} {advice(config, needs)}")


def account(needs: Use) -> str:
    """`It needs about 41.2 GB: weights 16.1 GB, …`, the largest part first."""
    parts = sorted(needs.parts.items(), key=lambda part: -part[1])
    return f"It needs about {size(needs.total)}: {', '.join(f'{name} {size(part)}' for name, part in parts if part)}."


def advice(config: TrainConfig, needs: Use) -> str:
    """Which settings to change, those that save most first."""
    batch = config.micro_batch or config.batch
    activations = []
    if batch > 1:
        activations.append(f"micro_batch: {batch // 2} (now {batch})")
    if not config.gradient_checkpointing:
        activations.append("gradient_checkpointing: true")
    activations.append("tokenize with a smaller length")
    rest = []
    if config.lora is None:
        rest.append("train an adapter (lora: {rank: 64})")
    elif config.lora.precision == "full":
        rest.append("lora: {precision: nf4}")
    rest.append("several GPUs with --processes N --strategy fsdp2")
    by_far = 2 * needs.parts["activations"] >= needs.total
    return f"Set {', or '.join([*activations, *rest] if by_far else [*rest, *activations])}."


def needs_of(config: TrainConfig, *, processes: int) -> Use:
    """Of each process that has a whole model, by part, in bytes."""
    assert isinstance(config.model, Model)
    windows = Windows.open(config.data.path)
    student = _without_weights(config.model.path)
    every = _count(student)
    trained = _trained(config, student)
    each = 2 if config.precision == "bf16" else 4
    share = -(-config.batch // processes)
    batch = min(config.micro_batch or share, share)
    parts = {
        "weights": _weight_bytes(config, student, every) + (4 * trained if config.lora else 0),
        "weights in bf16 for the products": 2 * trained if config.precision == "bf16" else 0,
        "gradients": 4 * trained,
        "optimizer": 8 * trained,
        "activations": _activations(config, student, length=windows.length, windows=batch, each=each),
        "loss buffers": _loss_bytes(config, student, windows),
        "teacher": _teacher_bytes(config),
    }
    return Use("training", parts)


def _without_weights(folder: Path) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def _count(model: Any) -> int:
    return sum(int(parameter.numel()) for parameter in model.parameters())


def _blocks_linears(model: Any) -> dict[str, Any]:
    import torch

    blocks = model.get_decoder().layers
    return {name: module for name, module in blocks.named_modules() if isinstance(module, torch.nn.Linear)}


def _trained(config: TrainConfig, student: Any) -> int:
    if config.lora is None:
        return _count(student)
    targets = config.lora.targets
    adapted = [
        linear
        for name, linear in _blocks_linears(student).items()
        if targets == "all" or any(f".{name}".endswith(f".{target}") for target in targets)
    ]
    return sum(int(config.lora.rank * (linear.in_features + linear.out_features)) for linear in adapted)


def _weight_bytes(config: TrainConfig, student: Any, every: int) -> int:
    if config.lora is None:
        return 4 * every
    each = 2 if config.precision == "bf16" else 4
    if config.lora.precision == "full":
        return each * every
    packed = sum(int(linear.weight.numel()) for linear in _blocks_linears(student).values())
    return round(packed * NF4_BITS / 8) + each * (every - packed)


def _activations(config: TrainConfig, student: Any, *, length: int, windows: int, each: int) -> int:
    from demiurgic.models.attention import SHORT_WINDOW

    widths, checkpointing = Widths.of_config(student.config), config.gradient_checkpointing
    found = activation_bytes(widths, length=length, windows=windows, checkpointing=checkpointing, each=each)
    if config.attention == "eager" or (config.attention == "auto" and length <= SHORT_WINDOW):
        found += attention_score_bytes(widths, length=length, windows=windows, checkpointing=checkpointing)
    return found


def _loss_bytes(config: TrainConfig, student: Any, windows: Windows) -> int:
    from demiurgic.train.chunk import tokens_per_chunk

    vocab = windows.vocab_size
    head_gradient = 0 if config.lora is not None else 4 * vocab * int(student.config.hidden_size)
    num_tokens = windows.length * (config.micro_batch or config.batch)
    return LOSS_BUFFERS * 4 * vocab * tokens_per_chunk(vocab, num_tokens=num_tokens) + head_gradient


def _teacher_bytes(config: TrainConfig) -> int:
    if not isinstance(config.teacher, Model):
        return 0
    return 4 * _count(_without_weights(config.teacher.path))
