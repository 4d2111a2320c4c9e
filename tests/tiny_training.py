"""What training needs, tiny and real: logits, token windows, models, and artifacts around them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from demiurgic.core.artifacts import Manifest, stamp_part
from demiurgic.core.console import Console
from demiurgic.core.metric import Metric, Summary
from demiurgic.core.records import Row
from demiurgic.dialects import LossOn
from demiurgic.models.tokenizer import dialect_of, encode_row, load_tokenizer, tokenizer_digest
from demiurgic.models.windows import pack, write_windows
from demiurgic.run.context import Context
from demiurgic.run.step import run_stage
from demiurgic.train.chunk import Chunk, Prediction, Workspace
from demiurgic.train.components import Component, components_of
from demiurgic.train.losses import LOSSES
from demiurgic.train.signals import Samples, TopK
from demiurgic.train.token_loss import TokenLoss, weighted_gradient
from demiurgic.train.train import STAGE
from tiny_models import LINES, tiny_model

LENGTH = 16


def components(*losses: str | Mapping[str, Any]) -> tuple[Component, ...]:
    """The components of a recipe's `losses`."""
    return components_of([LOSSES.choose(loss) for loss in losses])


def chunk_of(student_NV: Tensor, labels_N: Tensor, teacher: Tensor | TopK | Samples | None = None) -> Chunk:
    """A chunk of a student with these logits, and a teacher with those, or of whom a part is told."""
    workspace = Workspace()
    num_tokens, vocab_size = student_NV.shape
    device = student_NV.device
    workspace.next_chunk(num_tokens=num_tokens, vocab_size=vocab_size, capacity=num_tokens, device=device)
    said = Prediction(teacher.float(), workspace) if isinstance(teacher, Tensor) else teacher
    return Chunk(Prediction(student_NV.float(), workspace), labels_N, workspace, said)


def evaluated(
    loss: Any, student_NV: Tensor, labels_N: Tensor, teacher: Tensor | TopK | Samples
) -> tuple[Tensor, Tensor]:
    """The value [N] of one loss, and its gradient [N,V] with respect to the student's logits."""
    found: TokenLoss = loss(chunk_of(student_NV, labels_N, teacher))
    return found.value_N, weighted_gradient([(found, 1.0)], out_NV=torch.empty_like(student_NV, dtype=torch.float32))


class FixedTeacher:
    """A teacher signal whose logits for N tokens are given."""

    def __init__(self, logits_NV: Tensor) -> None:
        self.logits_NV = logits_NV

    def chunk(self, tokens: slice, workspace: Workspace) -> Prediction:
        return Prediction(workspace.lend().copy_(self.logits_NV[tokens]), workspace)


def artifact(part: Path, *, kind: str, metrics: Mapping[str, float] | None = None) -> Path:
    """Turn a folder into the one part of a finished step, by the manifest beside it; returns the folder."""
    summary = Summary({name: Metric.exact(value) for name, value in (metrics or {}).items()})
    manifest = Manifest(
        step=part.parent.name,
        stage="tests",
        version=1,
        key=part.parent.name,
        config={},
        seed=None,
        inputs={},
        parts={part.name: stamp_part(part, kind=kind)},
        summary=summary,
        lineage={},
        took={},
        made="2026-01-01T00:00:00Z",
    )
    manifest.write(part.parent)
    return part


def tiny_start(folder: Path, **shape: Any) -> Path:
    """A model with random weights as an artifact; returns the part's folder."""
    return artifact(tiny_model(folder / "model", **shape), kind="model")


def tiny_tokens(
    folder: Path, model: Path, *, rows: Iterable[Row] | None = None, length: int = LENGTH, loss_on: LossOn = "answers"
) -> Path:
    """Windows over rows of code, in the model's tokens, as an artifact; returns the part's folder."""
    tokenizer = load_tokenizer(model)
    dialect = dialect_of(tokenizer)
    rows = list(rows or (Row(id=f"line:{number}", text=line) for number, line in enumerate(LINES)))
    encoded = [encode_row(row, tokenizer, dialect=dialect, loss_on=loss_on) for row in rows]
    packed = pack(encoded, length=length, packing="fit")
    write_windows(
        folder / "tokens",
        packed,
        row_ids=[row.id for row in rows],
        vocab_size=len(tokenizer),
        tokenizer_digest=tokenizer_digest(model),
        dialect=dialect.name,
    )
    return artifact(folder / "tokens", kind="tokens")


def other_tokens(folder: Path, model: Path) -> Path:
    """Windows over other rows than those of `tiny_tokens`, to hold out; returns the part's folder."""
    return tiny_tokens(folder, model, rows=[Row(id=f"held:{n}", text=line.upper()) for n, line in enumerate(LINES)])


def quiet(**more: Any) -> Context:
    """A context without a word on the screen, on the CPU."""
    return Context(console=Console(quiet=True), device="cpu", **more)


def train(folder: Path, out: str = "student", *, context: Context | None = None, **values: Any) -> Path:
    """Run the stage on the model and tokens of `folder`, for two steps unless told otherwise; returns the step."""
    lengths = {"steps", "epochs", "match_seconds"}
    given = {"model": folder / "start" / "model", "data": folder / "rows" / "tokens", "batch": 2, "precision": "fp32"}
    given |= {} if lengths & set(values) else {"steps": 2}
    return run_stage(STAGE, {**given, **values}, folder / out, seed=3, context=context or quiet())


DISTIL_STEPS = 24


def distil(folder: Path, out: Path, context: Context | None = None, **more: Any) -> Path:
    """Train on two losses with a teacher, accumulation and held-out windows, as a recipe would; returns the step."""
    values: dict[str, Any] = {
        "steps": DISTIL_STEPS,
        "batch": 3,
        "micro_batch": 2,
        "evaluate_every": 7,
        "learning_rate": 2e-2,
    }
    losses = [{"use": "forward_kl", "weight": 0.9}, {"use": "cross_entropy", "weight": 0.1}]
    held_out = folder / "others" / "tokens"
    values |= {"teacher": folder / "teacher", "losses": losses, "held_out": held_out, **more}
    return train(folder, str(out), context=context, **values)


def log_of(step: Path) -> list[dict[str, Any]]:
    """The lines of a training log."""
    return [json.loads(line) for line in (step / "log.jsonl").read_text().splitlines()]


def same_weights(left: Path, right: Path) -> bool:
    """Whether two model folders hold the same weights, bit by bit."""
    return (left / "model.safetensors").read_bytes() == (right / "model.safetensors").read_bytes()
