"""What a training asks of memory, by part, and what to change when it does not fit.

Parameters are counted exactly, on a model without weights; activations are an estimate (models/memory.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Model
from demiurgic.core.console import Console, size
from demiurgic.core.errors import UserError
from demiurgic.core.registry import Choice
from demiurgic.models.lora import block_linears_of
from demiurgic.models.memory import NF4_BITS, Use, Widths, activation_bytes, attention_score_bytes
from demiurgic.models.precision import Precision
from demiurgic.models.shards import stored_precision
from demiurgic.models.windows import Windows
from demiurgic.run.context import Strategy
from demiurgic.train.adapter import base_dtype
from demiurgic.train.config import TrainConfig
from demiurgic.train.losses import needs_teacher, reads
from demiurgic.train.student import longest_window
from demiurgic.train.teacher import signal_of

if TYPE_CHECKING:
    import torch

OWN_STRIPS = 4
"""Arrays of a strip [tokens, vocabulary] that a divergence asks for itself, at most."""
DRAWING_BYTES = 4 + 8 + 8
"""Of each word of the vocabulary for each text that is written: logits in fp32; in fp64 divided by the temperature, and
as probabilities."""
WRITING = "writing, beyond the activations"
"""What writing asks for is given back before the forward pass of the training."""
CPU_WORDS = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")


@contextmanager
def too_little_is_a_users_matter(
    config: TrainConfig, device: "torch.device", *, processes: int, strategy: Strategy = "ddp"
) -> Iterator[None]:
    """Turn "out of memory" into a UserError with the estimate by part and the settings to change. All else passes."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        needs = needs_of(config, device, processes=processes, strategy=strategy)
        what_to_set = advice(config, needs, processes=processes, strategy=strategy)
        raise UserError(
            f"The training does not fit into memory ({words_of(error)}). {account(needs)} {what_to_set} The same "
            "command goes on from the last checkpoint."
        ) from error


def words_of(error: BaseException) -> str:
    """What an error of memory says, in one line."""
    return str(error).partition("\n")[0].rpartition("DefaultCPUAllocator: ")[2] or type(error).__name__


def is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in CPU_WORDS)


def refuse_what_cannot_fit(
    config: TrainConfig, device: "torch.device", *, processes: int, console: Console, strategy: Strategy = "ddp"
) -> None:
    """Compare the estimate with a GPU's memory before anything is loaded there.

    Raises UserError when what is counted exactly does not fit; where only the estimates of activations and of writing
    say so, it is said. On a CPU, where memory is shared with all else, nothing is compared.
    """
    if device.type != "cuda":
        return
    import torch

    needs = needs_of(config, device, processes=processes, strategy=strategy)
    what_to_set = advice(config, needs, processes=processes, strategy=strategy)
    _, there = torch.cuda.mem_get_info(device)
    certain = needs.total - needs.parts["activations"] - needs.parts[WRITING]
    if certain > there:
        raise UserError(f"The training does not fit: the GPU has {size(there)}. {account(needs)} {what_to_set}")
    loading = needs_to_load(config)
    if loading.total > there:
        raise UserError(
            f"The training cannot begin: the GPU has {size(there)}, and models are whole while they are loaded. "
            f"{account(loading)} Take GPUs with more memory, or a smaller model."
        )
    if needs.total > there:
        console.say(f"  This may not fit into the GPU's {size(there)}. {account(needs)} {what_to_set}")


def account(needs: Use) -> str:
    """`It needs about 41.2 GB: weights 16.1 GB, …`, the largest part first."""
    parts = sorted(needs.parts.items(), key=lambda part: -part[1])
    return f"It needs about {size(needs.total)}: {', '.join(f'{name} {size(part)}' for name, part in parts if part)}."


def advice(config: TrainConfig, needs: Use, *, processes: int = 1, strategy: Strategy = "ddp") -> str:
    """Which settings to change, those that save most first; none that would change nothing, or be refused."""
    batch = _windows_at_once(config, processes=processes)
    activations = []
    if config.on_policy is not None:
        if config.on_policy.rows > 1:
            activations.append(f"on_policy.rows: {config.on_policy.rows // 2} (now {config.on_policy.rows})")
        activations.append(f"a smaller on_policy.max_new_tokens (now {config.on_policy.max_new_tokens})")
    if batch > 1:
        activations.append(f"micro_batch: {batch // 2} (now {batch})")
    if not config.gradient_checkpointing:
        activations.append("gradient_checkpointing: true")
    activations.append("tokenize with a smaller length")
    rest, sharded = [], strategy == "fsdp2" and processes > 1
    if config.lora is None:
        rest.append("train an adapter (lora: {rank: 64})")
    elif config.lora.precision == "full" and not sharded:
        rest.append("lora: {precision: nf4}")
    if sharded:
        rest.append(f"more GPUs (now --processes {processes})")
    elif config.on_policy is None and not (config.lora is not None and config.lora.precision == "nf4"):
        rest.append("--strategy fsdp2" if processes > 1 else "several GPUs with --processes N --strategy fsdp2")
    by_far = 2 * (needs.parts["activations"] + needs.parts[WRITING]) >= needs.total
    return f"Set {', or '.join([*activations, *rest] if by_far else [*rest, *activations])}."


def needs_of(config: TrainConfig, device: "torch.device", *, processes: int, strategy: Strategy = "ddp") -> Use:
    """Of each process while it trains, by part, in bytes.

    Under `fsdp2` each has its share of weights, gradients and optimizer; whole are the root's weights and those of the
    block that runs and of the next. Under `deepspeed` each has all weights, and its share of the rest, to which belong
    fp32 weights that are stepped.
    """
    assert isinstance(config.model, Model)
    windows = Windows.open(config.data.path)
    student = _without_weights(config.model.path)
    every = _count(student)
    trained = _trained(config, student)
    each = 2 if config.precision == "bf16" else 4
    batch = _windows_at_once(config, processes=processes)
    length = longest_window(config, student, length=windows.length)
    activations = _activations(config, student, length=length, windows=batch, each=each)
    weights = _weight_bytes(config, student, every) + (4 * trained if config.lora else 0)
    whole, shares = 1.0, 1 if strategy == "ddp" else processes
    if strategy == "fsdp2" and processes > 1:
        whole = _share_of_root_and_two_blocks(student)
    in_bf16 = 2 * trained if config.precision == "bf16" else 0
    parts = {
        "weights": round(weights * whole),
        "shards of weights": weights // processes if whole < 1 else 0,
        # a backward pass keeps them of every block, unless it computes the block again
        "weights in bf16 for the products": round(in_bf16 * whole) if config.gradient_checkpointing else in_bf16,
        "weights to step": 4 * trained // shares if strategy == "deepspeed" and processes > 1 else 0,
        "gradients": 4 * trained // shares,
        "optimizer": 8 * trained // shares,
        "activations": activations,
        WRITING: max(0, _writing_bytes(config, student, windows, length=length, each=each) - activations),
        "loss buffers": _loss_bytes(config, student, device, vocab=windows.vocab_size, num_tokens=batch * length),
        "teacher": _teacher_bytes(config),
    }
    return Use("training", parts)


def needs_to_load(config: TrainConfig) -> Use:
    """Of each process before a model is cut into shards, by part, in bytes."""
    assert isinstance(config.model, Model)
    student = _without_weights(config.model.path)
    return Use(
        "loading", {"weights": _weight_bytes(config, student, _count(student)), "teacher": _teacher_bytes(config)}
    )


def _windows_at_once(config: TrainConfig, *, processes: int) -> int:
    share = -(-config.batch // processes)
    return min(config.micro_batch or share, share)


def _share_of_root_and_two_blocks(student: Any) -> float:
    """Of a model's parameters those outside of its blocks, and in two of them."""
    blocks = [_count(block) for block in student.get_decoder().layers]
    every = _count(student)
    return min(every, every - sum(blocks) + 2 * max(blocks)) / every


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
    linears = block_linears_of(config.model.path)
    stored = stored_precision(config.model.path, modules=linears)
    each = 2 if base_dtype(stored, config.precision) == "bfloat16" else 4
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


def _writing_bytes(config: TrainConfig, student: Any, windows: Windows, *, length: int, each: int) -> int:
    """Keys and values of all rows that the student writes at once, and what it draws from."""
    if config.on_policy is None:
        return 0
    widths = Widths.of_config(student.config)
    cache = 2 * each * widths.layers * widths.kv * length
    return config.on_policy.rows * (cache + DRAWING_BYTES * windows.vocab_size)


def _loss_bytes(config: TrainConfig, student: Any, device: "torch.device", *, vocab: int, num_tokens: int) -> int:
    """The products of a chunk, those of a teacher whose head is here, and bf16 copies of their gradient; the strips of
    the losses; the sum of the head's gradient.
    """
    from demiurgic.train.chunk import tokens_per_chunk, tokens_per_strip

    chunk = min(tokens_per_chunk(vocab, num_tokens=num_tokens), num_tokens)
    strip = min(tokens_per_strip(vocab, device=device), chunk)
    products = 1 + (config.teacher is not None and signal_of(config.teacher) in ("live", "hidden"))
    chunk_bytes = vocab * chunk * (4 * products + (2 if config.precision == "bf16" else 0))
    head_gradient = 0 if config.lora is not None else 4 * vocab * int(student.config.hidden_size)
    return chunk_bytes + 4 * vocab * strip * strips_of(config.losses) + head_gradient


def strips_of(losses: Sequence[Choice]) -> int:
    """How many arrays [tokens, vocabulary] the losses of a strip lend at once, at most: log-probabilities and
    probabilities of the student, and of the teacher, at each temperature, and what each divergence asks for itself.
    """

    def temperatures(asked: Sequence[Choice]) -> int:
        return len({str(getattr(loss.options, "temperature", 1.0)) for loss in asked})

    on_words = [loss for loss in losses if reads(loss) != "hidden"]
    divergences = [loss for loss in on_words if needs_teacher(loss)]
    return 2 * temperatures(on_words) + 2 * temperatures(divergences) + OWN_STRIPS * len(divergences)


def _teacher_bytes(config: TrainConfig) -> int:
    return frozen_bytes(config.teacher.path, config.precision) if isinstance(config.teacher, Model) else 0


def frozen_bytes(folder: Path, precision: Precision) -> int:
    """Of a model's weights that stay as they are."""
    from demiurgic.models.shards import dtype_when_frozen

    each = 2 if dtype_when_frozen(folder, precision) == "bfloat16" else 4
    return each * _count(_without_weights(folder))
