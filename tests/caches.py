"""A teacher's word on tiny windows, kept by the stage `cache_logits` and read again."""

from pathlib import Path
from typing import Any

import torch

from demiurgic.models.load import load_model
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.run.step import run_stage
from demiurgic.train.batch import TokenBatch
from demiurgic.train.cache.reader import Cache
from demiurgic.train.cache_logits import STAGE
from demiurgic.train.signals import TeacherSignal
from demiurgic.train.signals.cached import cached_signal
from demiurgic.train.signals.live import LiveTeacher
from tiny_training import quiet, tiny_start, tiny_tokens

CPU = torch.device("cpu")


def start_and_teacher(folder: Path) -> Path:
    """`start/model`, `teacher/model` and `rows/tokens` below the folder, which is returned."""
    start = tiny_start(folder / "start")
    tiny_start(folder / "teacher", seed=1)
    tiny_tokens(folder / "rows", start)
    return folder


def capture(
    folder: Path, out: str | Path, keep: dict[str, Any], *, context: Context | None = None, **more: Any
) -> Path:
    """Run the stage on the teacher and tokens of `folder`; returns the part."""
    values = {"data": folder / "rows" / "tokens", "teacher": folder / "teacher", "keep": keep, "precision": "fp32"}
    step = run_stage(STAGE, {**values, "batch": 2, **more}, folder / out, seed=3, context=context or quiet())
    return step / keep["use"]


def windows_of(folder: Path) -> Windows:
    return Windows.open(folder / "rows" / "tokens")


def live(folder: Path, windows: Windows) -> LiveTeacher:
    model = load_model(folder / "teacher" / "model", device="cpu")
    return LiveTeacher(model, vocab_size=windows.vocab_size, bf16=False)


def cached(part: Path, windows: Windows) -> TeacherSignal:
    return cached_signal(Cache.open(part), windows, device=CPU, bf16=False)


def some_windows(windows: Windows, *indices: int) -> TokenBatch:
    return TokenBatch.of(windows.batch(indices or range(len(windows))), device=CPU)
