"""From the teacher of a config to the signal that a training asks, and which teacher may not teach which student."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.core.artifacts import Logits, Model, Tokens
from demiurgic.core.errors import UserError
from demiurgic.core.registry import Choice
from demiurgic.models.precision import Precision
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.train.config import TrainConfig
from demiurgic.train.fit import refuse_long_windows, refuse_other_vocabulary
from demiurgic.train.hidden_loss import layers_of
from demiurgic.train.losses import reads
from demiurgic.train.signals.served import Served

if TYPE_CHECKING:
    import torch

    from demiurgic.train.signals import TeacherSignal


def open_teacher(
    config: TrainConfig, windows: Windows, *, device: "torch.device", context: Context
) -> "TeacherSignal | None":
    """The teacher's signal for the windows of `data`; None where a config has no teacher.

    Raises UserError for a teacher of another vocabulary, or for which the windows are too long, and for a cache that is
    damaged or was made for other tokens.
    """
    match config.teacher:
        case None:
            return None
        case Model():
            return live_teacher(
                config.teacher.path,
                windows=windows,
                reader=config.model.path,
                layers=teacher_layers(config.losses),
                precision=config.precision,
                device=device,
            )
        case Logits():
            return _cached(config.teacher, config.data, windows, precision=config.precision, device=device)
        case Served():
            from demiurgic.train.signals.served import open_signal

            return open_signal(config.teacher, windows, context, tokenizer=config.model.path)
        case _:
            raise AssertionError(f"{config.teacher!r} is no teacher")


def live_teacher(
    folder: Path,
    *,
    windows: Windows,
    reader: Path,
    precision: Precision,
    device: "torch.device",
    layers: Sequence[int] = (),
) -> "TeacherSignal":
    """The model of a folder, for windows in the tokens of the tokenizer in the folder `reader`.

    One that is stored in bf16 stays in it under `precision: bf16`, in half the memory; its logits are fp32 as ever.
    Raises UserError as `open_teacher` does.
    """
    from demiurgic.models.load import load_model
    from demiurgic.models.shards import dtype_when_frozen
    from demiurgic.train.signals.live import LiveTeacher

    model = load_model(folder, device=str(device), dtype=dtype_when_frozen(folder, precision))
    refuse_other_vocabulary(model, teacher=folder, reader=reader, vocab_size=windows.vocab_size)
    refuse_long_windows(model, windows, folder=folder)
    return LiveTeacher(model, vocab_size=windows.vocab_size, bf16=precision == "bf16", layers=layers)


def teacher_layers(losses: Sequence[Choice]) -> list[int]:
    """The layers whose states the losses ask the teacher for, each once."""
    return sorted({layers_of(loss).teacher for loss in losses if reads(loss) == "hidden"})


def _cached(
    logits: Logits, data: Tokens, windows: Windows, *, precision: Precision, device: "torch.device"
) -> "TeacherSignal":
    from demiurgic.train.cache.reader import Cache
    from demiurgic.train.signals.cached import cached_signal

    cache = Cache.open(logits.path)
    facts = cache.facts
    if facts.tokens_digest != data.digest:
        raise UserError(
            f"The cache {logits.path} was made for other tokens ({facts.tokens_digest[:16]}) than data, {data.path} "
            f"({data.digest[:16]}). Make a cache of the same teacher for these: {{use: cache_logits, data: "
            f"{data.manifest.step}, …}}."
        )
    if facts.num_windows != len(windows) or facts.vocab_size != windows.vocab_size:
        raise AssertionError("a cache has the digest of these tokens, and other counts")
    return cached_signal(cache, windows, device=device, bf16=precision == "bf16")
