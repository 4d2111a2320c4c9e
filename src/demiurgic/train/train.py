"""The stage `train`: a student out of start weights and token windows, with or without a teacher.

Reads the config into the loop's terms and checks that student, teacher and tokens belong together. The loop itself
knows neither recipes nor artifacts.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from demiurgic.core.artifacts import Model, Tokens
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import new_folder, write_text
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.models.precision import Precision
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.train.budget import MEASURED_STEPS, steps_of_epochs
from demiurgic.train.checkpoint import Checkpoints, Progress
from demiurgic.train.fit import (
    refuse_long_windows,
    refuse_misfit,
    refuse_other_vocabulary,
    refuse_same_tokens,
    seconds_of,
)
from demiurgic.train.log import LOG, last_step
from demiurgic.train.losses import LOSSES, LossChoice, needs_teacher
from demiurgic.train.schedules import LearningRate, Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from demiurgic.train.loop import Plan
    from demiurgic.train.signals import TeacherSignal

Share = Annotated[float, Field(ge=0, le=1)]


class TrainConfig(StageConfig):
    """What to train, on what, for how long. One of `steps`, `epochs` and `match_seconds` says how long."""

    model: Model
    """The start weights."""
    data: Tokens
    held_out: Tokens | None = None
    """Chooses the best checkpoint; without it the last weights are kept."""
    teacher: Model | None = None
    losses: list[LossChoice] = Field(default_factory=lambda: [LOSSES.choose("cross_entropy")], min_length=1)
    steps: PositiveInt | None = None
    """Optimizer steps."""
    epochs: PositiveFloat | None = None
    """Passes over the windows; the last step is filled up from the next pass."""
    match_seconds: Model | None = None
    """Train as many steps as fit into the seconds that training this model took, teacher forwards counted."""
    batch: PositiveInt = 16
    """Windows per optimizer step."""
    micro_batch: PositiveInt | None = None
    """Windows in memory at once (all of `batch` by default): changes memory and speed, and the result by rounding."""
    learning_rate: PositiveFloat = 1e-3
    warmup_steps: NonNegativeInt = 0
    """Less than all steps; with `match_seconds` at least 30, since the pace is not known before."""
    schedule: Shape = "cosine"
    min_learning_rate_share: Share = 0.1
    """What cosine and wsd end at, as a share of `learning_rate`."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    """On matrices, embeddings among them; not on norms."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.95)
    gradient_clip: PositiveFloat | None = 1.0
    """The largest norm of a gradient."""
    precision: Precision = "bf16"
    """`bf16`: matrix products under autocast, over fp32 weights. Logits and losses are fp32 in both."""
    evaluate_every: PositiveInt = 200
    """Optimizer steps between two looks at `held_out`; there is always one at the end."""
    held_out_windows: Annotated[int, Field(ge=2)] | None = None
    """How many of them, drawn once; all by default."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        given = [name for name in ("steps", "epochs", "match_seconds") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of steps, epochs and match_seconds; found {' and '.join(given) or 'none'}"
            )
        return self

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.match_seconds is not None and self.warmup_steps < MEASURED_STEPS:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps}) is less than {MEASURED_STEPS}: with match_seconds the number of "
                "steps is fixed after those, and the learning rate depends on it when the warm-up ends; "
                f"set warmup_steps: {MEASURED_STEPS} or more"
            )
        if self.steps is not None and self.warmup_steps >= self.steps:
            raise ValueError(_warmup_too_long(self.warmup_steps, self.steps))
        return self

    @model_validator(mode="after")
    def _held_out_is_held_out(self) -> Self:
        if self.held_out_windows is not None and self.held_out is None:
            raise ValueError("held_out_windows counts windows of held_out, which is not given; set held_out, too")
        if self.held_out is not None and self.held_out == self.data:
            raise ValueError(
                "held_out and data are the same; a checkpoint is chosen on rows that are not trained on, or not at "
                "all (held_out: null)"
            )
        return self

    @model_validator(mode="after")
    def _losses_and_teacher_fit(self) -> Self:
        asking = [loss.name for loss in self.losses if needs_teacher(loss)]
        if asking and self.teacher is None:
            raise ValueError(f"the loss {asking[0]} needs a teacher; set teacher, or use only losses without one")
        if self.teacher is not None and not asking:
            raise ValueError(
                "there is a teacher and no loss that asks it; add one such as forward_kl, or set teacher: null"
            )
        if not any(loss.shared.weight for loss in self.losses):
            raise ValueError("every loss has weight 0, so there is nothing to train on; give one a positive weight")
        return self

    @model_validator(mode="after")
    def _micro_batch_fits(self) -> Self:
        if self.micro_batch is not None and self.micro_batch > self.batch:
            raise ValueError(
                f"micro_batch ({self.micro_batch}) is larger than batch ({self.batch}), which it divides up"
            )
        return self

    def key_facts(self, base: Path) -> dict[str, JSON]:
        """The seconds that are matched: no content of the model they made tells them."""
        del base
        return {"seconds_to_match": seconds_of(self.match_seconds)} if isinstance(self.match_seconds, Model) else {}


def _warmup_too_long(warmup_steps: int, steps: int) -> str:
    return (
        f"warmup_steps ({warmup_steps}) is not less than the {steps} steps of the whole training, which would end "
        "before the learning rate is reached; set fewer warmup_steps or more steps"
    )


RESULT = "result.json"
"""The summary, beside the finished model: what an interruption after the training, before the manifest, leaves."""


def run(config: TrainConfig, out: Path, context: Context) -> Summary:
    """Train a student on token windows, with or without a teacher, and keep its best weights."""
    checkpoints = Checkpoints(out / "checkpoint")
    if (out / RESULT).exists():
        if (out / "model").is_dir():
            checkpoints.remove()
            return Summary.from_json(json.loads((out / RESULT).read_text(encoding="utf-8")))
        (out / RESULT).unlink()
    from demiurgic.models.attention import train_with_fastest_attention
    from demiurgic.models.load import load_model, resolve_device, save_model
    from demiurgic.train.accelerator import accelerator_on, seed_randomness
    from demiurgic.train.loop import Trainer
    from demiurgic.train.objective import objective
    from demiurgic.train.optimizer import adamw

    plan = _plan(config, context)
    device = resolve_device(context.device)
    model = load_model(config.model.path, device=str(device))
    for windows in (plan.windows, *([plan.held_out.windows] if plan.held_out is not None else [])):
        refuse_misfit(model, windows, folder=config.model.path)
    train_with_fastest_attention(model, length=plan.windows.length)
    seed_randomness(context.random)
    bf16 = config.precision == "bf16"
    trainer = Trainer(
        objective(model, plan.components, teacher=_teacher(config, plan, model, device=str(device)), bf16=bf16),
        plan,
        model=model,
        optimizer=adamw(model, weight_decay=config.weight_decay, betas=config.betas),
        accelerator=accelerator_on(device, config.precision),
        checkpoints=checkpoints,
        log_path=out / LOG,
        console=context.console,
        checkpoint_seconds=context.checkpoint_seconds,
    )
    progress = trainer.run()
    if (out / "model").exists():
        shutil.rmtree(out / "model")
    with new_folder(out / "model") as folder:
        save_model(model, config.model.path, folder)
    summary = _summary(config, plan, progress, last=last_step(out / LOG))
    write_text(out / RESULT, json.dumps(summary.to_json()))
    checkpoints.remove()
    return summary


def _plan(config: TrainConfig, context: Context) -> "Plan":
    """The config in the loop's terms; opens the windows."""
    from demiurgic.train.head_loss import components_of
    from demiurgic.train.held_out import chosen_windows
    from demiurgic.train.loop import HeldOut, Plan
    from demiurgic.train.order import Order

    windows = Windows.open(config.data.path)
    held_out = None
    if config.held_out is not None:
        refuse_same_tokens(config.data, config.held_out)
        found = Windows.open(config.held_out.path)
        chosen = chosen_windows(found, config.held_out_windows, seeds=context.random)
        held_out = HeldOut(found, chosen, every=config.evaluate_every)
    steps = config.steps
    if config.epochs is not None:
        steps = steps_of_epochs(config.epochs, num_windows=len(windows), batch=config.batch)
        if config.warmup_steps >= steps:
            raise UserError(f"{_warmup_too_long(config.warmup_steps, steps)}.")
    return Plan(
        windows=windows,
        order=Order(len(windows), batch=config.batch, seeds=context.random),
        components=components_of(config.losses),
        learning_rate=LearningRate(
            config.schedule, config.learning_rate, config.warmup_steps, config.min_learning_rate_share
        ),
        micro_batch=config.micro_batch or config.batch,
        gradient_clip=config.gradient_clip,
        precision=config.precision,
        steps=steps,
        seconds=seconds_of(config.match_seconds) if config.match_seconds is not None else 0.0,
        held_out=held_out,
    )


def _teacher(config: TrainConfig, plan: "Plan", model: "PreTrainedModel", *, device: str) -> "TeacherSignal | None":
    """The teacher beside the student. Raises UserError for another vocabulary, or windows too long for it."""
    if config.teacher is None:
        return None
    from demiurgic.models.load import load_model
    from demiurgic.train.signals.live import LiveTeacher

    teacher = load_model(config.teacher.path, device=device)
    refuse_other_vocabulary(model, teacher, student=config.model.path, teacher=config.teacher.path)
    refuse_long_windows(teacher, plan.windows, folder=config.teacher.path)
    return LiveTeacher(teacher, bf16=config.precision == "bf16")


def _summary(config: TrainConfig, plan: "Plan", progress: Progress, *, last: dict[str, JSON]) -> Summary:
    if progress.num_steps is None:
        raise AssertionError("a finished training knows its number of steps")
    warmed = min(plan.learning_rate.warmup_steps, progress.num_steps)
    counted = {
        "train_seconds": progress.train_seconds,
        "steps": progress.step,
        "best_step": progress.best_step or progress.step,
        "epochs": plan.order.epochs(progress.step),
        "tokens": progress.tokens,
        "tokens_per_second": progress.tokens / progress.train_seconds,
        "peak_learning_rate": plan.learning_rate.at(max(warmed - 1, 0), num_steps=progress.num_steps),
    }
    if config.match_seconds is not None:
        counted["seconds_ratio"] = progress.train_seconds / plan.seconds
    if plan.held_out is not None:
        counted["held_out_loss"] = progress.best_loss
    facts: dict[str, JSON] = {
        "last_step": {"total": last["total"], "components": last["components"]},
        "teacher": config.teacher.digest if config.teacher is not None else None,
        "seconds_to_match": plan.seconds if config.match_seconds is not None else None,
        "precision": config.precision,
        "schedule": config.schedule,
    }
    return Summary({name: Metric.exact(value) for name, value in counted.items()}, facts)


STAGE = Stage(
    "train",
    TrainConfig,
    run,
    makes={"model": Model},
    uses_seed=True,
    resumable=True,
    needs=("torch", "transformers", "accelerate"),
)
