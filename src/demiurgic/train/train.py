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
from demiurgic.core.files.atomic import new_folder, write_text
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.models.precision import Precision
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.train.budget import MEASURED_STEPS, steps_of_epochs
from demiurgic.train.fit import refuse_misfit, refuse_other_tokenizer, refuse_other_vocabulary, seconds_of
from demiurgic.train.log import LOG, last_step
from demiurgic.train.losses import LOSSES, LossChoice, needs_teacher
from demiurgic.train.schedules import LearningRate, Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from demiurgic.train.loop import Plan, Trained
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


RESULT = "result.json"
"""The summary, beside the finished model: what an interruption after the training, before the manifest, leaves."""


def run(config: TrainConfig, out: Path, context: Context) -> Summary:
    """Train a student on token windows, with or without a teacher, and keep its best weights."""
    if (out / RESULT).exists():
        return Summary.from_json(json.loads((out / RESULT).read_text(encoding="utf-8")))
    from demiurgic.models.attention import train_with_fastest_attention
    from demiurgic.models.load import load_model, resolve_device, save_model
    from demiurgic.train.accelerator import accelerator_on, seed_randomness
    from demiurgic.train.loop import Trainer
    from demiurgic.train.objective import objective
    from demiurgic.train.optimizer import adamw

    plan = _plan(config, context)
    device = resolve_device(context.device)
    model = load_model(config.model.path, device=str(device))
    refuse_misfit(model, plan.windows, folder=config.model.path)
    train_with_fastest_attention(model, length=plan.windows.length)
    seed_randomness(context.random)
    bf16 = config.precision == "bf16"
    trainer = Trainer(
        objective(model, plan.components, teacher=_teacher(config, model, device=str(device)), bf16=bf16),
        plan,
        model=model,
        optimizer=adamw(model, weight_decay=config.weight_decay, betas=config.betas),
        accelerator=accelerator_on(device, config.precision),
        out=out,
        console=context.console,
        checkpoint_seconds=context.checkpoint_seconds,
    )
    trained = trainer.run()
    if (out / "model").exists():
        shutil.rmtree(out / "model")
    with new_folder(out / "model") as folder:
        save_model(model, config.model.path, folder)
    summary = _summary(config, plan, trained, last=last_step(out / LOG), seed=context.random.number("interval"))
    write_text(out / RESULT, json.dumps(summary.to_json()))
    trainer.checkpoints.remove()
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
        found = Windows.open(config.held_out.path)
        refuse_other_tokenizer(windows, found)
        chosen = chosen_windows(found, config.held_out_windows, seeds=context.random)
        held_out = HeldOut(found, chosen, every=config.evaluate_every)
    steps, warmup = config.steps, config.warmup_steps
    if config.epochs is not None:
        steps = steps_of_epochs(config.epochs, num_windows=len(windows), batch=config.batch)
    if config.match_seconds is not None:
        warmup = max(warmup, MEASURED_STEPS)
    return Plan(
        windows=windows,
        order=Order(len(windows), batch=config.batch, seeds=context.random),
        components=components_of(config.losses),
        learning_rate=LearningRate(config.schedule, config.learning_rate, warmup, config.min_learning_rate_share),
        micro_batch=config.micro_batch or config.batch,
        gradient_clip=config.gradient_clip,
        precision=config.precision,
        steps=steps,
        seconds=seconds_of(config.match_seconds) if config.match_seconds is not None else 0.0,
        held_out=held_out,
    )


def _teacher(config: TrainConfig, model: "PreTrainedModel", *, device: str) -> "TeacherSignal | None":
    """The teacher beside the student. Raises UserError when they do not have the same vocabulary."""
    if config.teacher is None:
        return None
    from demiurgic.models.load import load_model
    from demiurgic.train.signals.live import LiveTeacher

    teacher = load_model(config.teacher.path, device=device)
    refuse_other_vocabulary(model, teacher, student=config.model.path, teacher=config.teacher.path)
    return LiveTeacher(teacher, bf16=config.precision == "bf16")


def _summary(config: TrainConfig, plan: "Plan", trained: "Trained", *, last: dict[str, JSON], seed: int) -> Summary:
    progress = trained.progress
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
    metrics = {name: Metric.exact(value) for name, value in counted.items()}
    if trained.held_out is not None:
        metrics["held_out_loss"] = trained.held_out.metric(seed=seed)
    facts: dict[str, JSON] = {
        "last_step": {"total": last["total"], "components": last["components"]},
        "teacher": config.teacher.digest if config.teacher is not None else None,
        "seconds_to_match": plan.seconds if config.match_seconds is not None else None,
        "precision": config.precision,
        "schedule": config.schedule,
    }
    return Summary(metrics, facts)


STAGE = Stage(
    "train",
    TrainConfig,
    run,
    makes={"model": Model},
    uses_seed=True,
    resumable=True,
    needs=("torch", "transformers", "accelerate"),
)
