"""The stage `train`: a student or an adapter out of start weights and token windows, with or without a teacher.

Reads the config into the loop's terms and checks that student, teacher and tokens belong together. The loop itself
knows neither recipes nor artifacts.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.core.artifacts import Adapter, Artifact, Model
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import new_folder, write_text
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage
from demiurgic.train.adapter import AdapterPlan, adapter_plan, load_with_adapter, save_adapter
from demiurgic.train.budget import steps_of_epochs
from demiurgic.train.checkpoint import Checkpoints, Progress
from demiurgic.train.config import TrainConfig, warmup_too_long
from demiurgic.train.fit import (
    refuse_long_windows,
    refuse_misfit,
    refuse_other_vocabulary,
    refuse_same_tokens,
    seconds_of,
)
from demiurgic.train.learning_rate import LearningRate
from demiurgic.train.log import LOG, last_step
from demiurgic.train.weights import trained_weights

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from demiurgic.train.loop import Plan, Trainer
    from demiurgic.train.signals import TeacherSignal

RESULT = "result.json"
"""The summary, beside the finished model: what an interruption after the training, before the manifest, leaves."""


def run(config: TrainConfig, out: Path, context: Context) -> Summary:
    """Train a student on token windows, or an adapter for it, with or without a teacher, and keep its best weights."""
    checkpoints, part = Checkpoints(out / "checkpoint"), out / config.part
    if (out / RESULT).exists():
        if part.is_dir():
            checkpoints.remove()
            return Summary.from_json(json.loads((out / RESULT).read_text(encoding="utf-8")))
        (out / RESULT).unlink()
    from demiurgic.models.load import save_model

    plan = _plan(config, context)
    adapter = adapter_plan(config.model, config.lora) if config.lora is not None else None
    model = _student(config, plan, adapter, context)
    progress = _trainer(config, plan, model, checkpoints=checkpoints, log_path=out / LOG, context=context).run()
    if part.exists():
        shutil.rmtree(part)
    with new_folder(part) as folder:
        if adapter is None:
            save_model(model, config.model.path, folder)
        else:
            save_adapter(model, adapter, folder)
    summary = _summary(config, plan, progress, last=last_step(out / LOG))
    if adapter is not None:
        summary = _with_adapter(summary, adapter, model)
    write_text(out / RESULT, json.dumps(summary.to_json()))
    checkpoints.remove()
    return summary


def _student(config: TrainConfig, plan: "Plan", adapter: AdapterPlan | None, context: Context) -> "PreTrainedModel":
    """The model to train, on its device. Raises UserError when it cannot read the tokens."""
    from demiurgic.models.attention import train_with_fastest_attention
    from demiurgic.models.load import load_model, resolve_device

    device = str(resolve_device(context.device))
    if adapter is None:
        model = load_model(config.model.path, device=device)
    else:
        seed = context.random.number("lora")
        model = load_with_adapter(adapter, precision=config.precision, device=device, seed=seed)
    for windows in (plan.windows, *([plan.held_out.windows] if plan.held_out is not None else [])):
        refuse_misfit(model, windows, folder=config.model.path)
    train_with_fastest_attention(model, length=plan.windows.length)
    return model


def _trainer(
    config: TrainConfig,
    plan: "Plan",
    model: "PreTrainedModel",
    *,
    checkpoints: Checkpoints,
    log_path: Path,
    context: Context,
) -> "Trainer":
    from demiurgic.train.accelerator import accelerator_on, seed_randomness
    from demiurgic.train.loop import Trainer
    from demiurgic.train.objective import objective
    from demiurgic.train.optimizer import adamw

    seed_randomness(context.random)
    bf16 = config.precision == "bf16"
    return Trainer(
        objective(model, teacher=_teacher(config, plan, model), bf16=bf16),
        plan,
        model=model,
        optimizer=adamw(model, weight_decay=config.weight_decay, betas=config.betas),
        accelerator=accelerator_on(model.device, config.precision),
        checkpoints=checkpoints,
        log_path=log_path,
        console=context.console,
        checkpoint_seconds=context.checkpoint_seconds,
    )


def _plan(config: TrainConfig, context: Context) -> "Plan":
    """The config in the loop's terms; opens the windows."""
    from demiurgic.train.curriculum import Curriculum
    from demiurgic.train.held_out import chosen_windows
    from demiurgic.train.loop import HeldOut, Plan
    from demiurgic.train.order import Order
    from demiurgic.train.source import FromData

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
            raise UserError(f"{warmup_too_long(config.warmup_steps, steps)}.")
    order = Order(len(windows), batch=config.batch, seeds=context.random)
    return Plan(
        windows=windows,
        order=order,
        source=FromData(windows, order),
        curriculum=Curriculum(config.losses),
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


def _teacher(config: TrainConfig, plan: "Plan", model: "PreTrainedModel") -> "TeacherSignal | None":
    """The teacher beside the student. Raises UserError for another vocabulary, or windows too long for it."""
    if not isinstance(config.teacher, Model):
        return None
    from demiurgic.models.load import load_model
    from demiurgic.train.signals.live import LiveTeacher

    teacher = load_model(config.teacher.path, device=str(model.device))
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
        "teacher": config.teacher.digest if isinstance(config.teacher, Model) else None,
        "seconds_to_match": plan.seconds if config.match_seconds is not None else None,
        "precision": config.precision,
        "schedule": config.schedule,
    }
    return Summary({name: Metric.exact(value) for name, value in counted.items()}, facts)


def _with_adapter(summary: Summary, adapter: AdapterPlan, model: "PreTrainedModel") -> Summary:
    """The summary of a training, with what was trained and on what."""
    lora, num_trained = adapter.lora, sum(weight.numel() for weight in trained_weights(model).values())
    facts: dict[str, JSON] = {
        "base": adapter.base.base_digest,
        "base_precision": adapter.base.precision,
        "rank": lora.rank,
        "alpha": lora.scale_alpha,
        "rslora": lora.rslora,
        "scaling": lora.scaling,
        "targets": list(adapter.targets),
    }
    metrics = {**summary.metrics, "trained_parameters": Metric.exact(num_trained)}
    return Summary(metrics, {**summary.facts, **facts})


def _makes(config: TrainConfig) -> dict[str, type[Artifact]]:
    return {config.part: Model if config.lora is None else Adapter}


def _needs(config: TrainConfig) -> tuple[str, ...]:
    lora = () if config.lora is None else ("peft", *(("bitsandbytes",) if config.lora.precision == "nf4" else ()))
    return ("torch", "transformers", "accelerate", *lora)


STAGE = Stage(
    "train",
    TrainConfig,
    run,
    makes=_makes,
    uses_seed=True,
    resumable=True,
    needs=_needs,
)
