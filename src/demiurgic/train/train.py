"""The stage `train`: a student or an adapter out of start weights and token windows, with or without a teacher.

Reads the config into the loop's terms and puts its parts together, in one process or in each of several. The loop
itself knows neither recipes nor artifacts.
"""

import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Adapter, Artifact, Model
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import new_folder, write_text
from demiurgic.core.metric import Summary
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage
from demiurgic.run.store import PARTIAL
from demiurgic.train.adapter import AdapterPlan, adapter_plan
from demiurgic.train.budget import steps_of_epochs
from demiurgic.train.checkpoint import Checkpoints
from demiurgic.train.config import TrainConfig, warmup_too_long
from demiurgic.train.fit import refuse_other_processes, refuse_same_tokens, seconds_of
from demiurgic.train.learning_rate import LearningRate
from demiurgic.train.log import LOG, last_step
from demiurgic.train.signals.served import ServedTeacher
from demiurgic.train.trackers import Trackers, refuse_missing

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from demiurgic.train.looks import Nats
    from demiurgic.train.loop import Plan, Trainer
    from demiurgic.train.signals import TeacherSignal

RESULT = "result.json"
"""The summary, beside the finished model: what an interruption after the training, before the manifest, leaves."""


def run(config: TrainConfig, out: Path, context: Context) -> Summary:
    """Train a student on token windows, or an adapter for it, with or without a teacher, and keep its best weights."""
    checkpoints, part = Checkpoints(out / "checkpoint"), out / config.part
    if (out / RESULT).exists() and part.is_dir():
        if context.launcher.rank == 0:
            checkpoints.remove()
        return Summary.from_json(json.loads((out / RESULT).read_text(encoding="utf-8")))
    (out / RESULT).unlink(missing_ok=True)
    from demiurgic.models.load import resolve_device
    from demiurgic.train.memory import too_little_is_a_users_matter
    from demiurgic.train.student import save_student
    from demiurgic.train.summary import summary_of

    device = resolve_device(context.device)
    launcher = context.launcher
    little = too_little_is_a_users_matter(config, device, processes=launcher.processes, strategy=launcher.strategy)
    with little, ExitStack() as opened:
        parts = _put_together(config, out, context, opened, device=device)
        progress = parts.trainer.run()
        model = parts.to_save()
    if context.launcher.rank != 0:
        return Summary()  # the first process writes, and says what came out
    if part.exists():
        shutil.rmtree(part)
    with new_folder(part) as folder:
        save_student(model, config, parts.adapter, folder)
    summary = summary_of(
        config, parts.trainer.plan, progress, last=last_step(out / LOG), adapter=parts.adapter, model=model
    )
    if isinstance(parts.teacher, ServedTeacher):
        parts.teacher.agreement.go_on_from(progress.agreement)  # of all processes and starts
        told = parts.teacher.summary()
        summary = Summary({**summary.metrics, **told.metrics}, {**summary.facts, **told.facts})
    write_text(out / RESULT, json.dumps(summary.to_json()))
    checkpoints.remove()
    return summary


@dataclass(frozen=True)
class _Parts:
    """All that one training is made of."""

    config: TrainConfig
    trainer: "Trainer"
    adapter: AdapterPlan | None
    model: "PreTrainedModel"
    accelerator: Any
    adapter_seed: int
    teacher: "TeacherSignal | None"

    def to_save(self) -> "PreTrainedModel":
        """The student, whole; all processes must ask for it."""
        from demiurgic.train.parallel import is_spread_in_shards
        from demiurgic.train.student import whole_student
        from demiurgic.train.weights import of_student, trained_weights

        if not is_spread_in_shards(self.trainer.objective):
            return self.model
        first = self.accelerator.is_main_process
        weights = of_student(trained_weights(self.trainer.inner, keep=first))
        if not first:
            return self.model
        return whole_student(self.config, self.adapter, weights, seed=self.adapter_seed)


def _put_together(
    config: TrainConfig, out: Path, context: Context, opened: ExitStack, *, device: "torch.device"
) -> _Parts:
    """What is open until the training ends goes to `opened`."""
    from demiurgic.train.accelerator import accelerator_on
    from demiurgic.train.loop import Trainer
    from demiurgic.train.memory import refuse_what_cannot_fit
    from demiurgic.train.objective import objective
    from demiurgic.train.open_teacher import open_teacher
    from demiurgic.train.open_text import open_text
    from demiurgic.train.optimizer import adamw
    from demiurgic.train.parallel import spread_with_optimizer
    from demiurgic.train.student import open_student

    refuse_missing(context.trackers)
    accelerator = accelerator_on(device, config.precision, processes=context.launcher.processes)
    refuse_what_cannot_fit(
        config,
        accelerator.device,
        processes=context.launcher.processes,
        strategy=context.launcher.strategy,
        console=context.console,
    )
    plan, seed = _plan(config, context), context.random.number("lora")
    adapter = adapter_plan(config.model, config.lora) if config.lora is not None else None
    read = [plan.windows, *([plan.held_out.windows] if plan.held_out is not None else [])]
    model = open_student(config, adapter, read, device=str(accelerator.device), seed=seed)
    teacher = open_teacher(config, plan.windows, device=accelerator.device, context=context)
    if isinstance(teacher, ServedTeacher):
        opened.callback(teacher.close)
    aim = objective(
        model,
        losses=config.losses,
        vocab_size=plan.windows.vocab_size,
        teacher=teacher,
        seeds=context.random,
        bf16=config.precision == "bf16",
    ).to(accelerator.device)
    spread_out, optimizer = spread_with_optimizer(
        aim,
        accelerator,
        strategy=context.launcher.strategy,
        optimizer=lambda module: adamw(module, weight_decay=config.weight_decay, betas=config.betas),
        micro_batch=plan.micro_batch,
    )
    trainer = Trainer(
        spread_out,
        plan,
        source=open_text(
            config,
            plan.windows,
            plan.order,
            curriculum=plan.curriculum,
            model=model,
            teacher=teacher,
            accelerator=accelerator,
            seeds=context.random,
        ),
        optimizer=optimizer,
        accelerator=accelerator,
        checkpoints=Checkpoints(out / "checkpoint"),
        log_path=out / LOG,
        console=context.console,
        checkpoint_seconds=context.checkpoint_seconds,
        seeds=context.random,
        agreement=teacher.agreement if isinstance(teacher, ServedTeacher) else None,
        teacher=_held_out_nats(teacher, accelerator, vocab_size=plan.windows.vocab_size),
        trackers=Trackers(context.trackers, folder=out, run=out.name.removesuffix(PARTIAL), console=context.console),
    )
    return _Parts(config, trainer, adapter, model, accelerator, seed, teacher)


def _held_out_nats(teacher: "TeacherSignal | None", accelerator: Any, *, vocab_size: int) -> "Nats | None":
    """What a live teacher says of held-out windows. A cache holds the training's windows alone."""
    from demiurgic.models.likelihood import token_nats
    from demiurgic.models.precision import autocast
    from demiurgic.train.batch import TokenBatch
    from demiurgic.train.signals.live import LiveTeacher

    if not isinstance(teacher, LiveTeacher):
        return None
    precision: Any = "bf16" if accelerator.mixed_precision == "bf16" else "fp32"

    def nats(batch: TokenBatch) -> Any:
        with autocast(accelerator.device, precision):
            return token_nats(
                teacher.model,
                batch.ids_BT,
                documents_BT=batch.documents_BT,
                wanted_BT=batch.weights_BT > 0,
                vocab_size=vocab_size,
            )

    return nats


def _plan(config: TrainConfig, context: Context) -> "Plan":
    """The config in the loop's terms; opens the windows."""
    from demiurgic.train.curriculum import Curriculum
    from demiurgic.train.held_out import HeldOut, chosen_windows
    from demiurgic.train.loop import Plan
    from demiurgic.train.order import Order

    windows = Windows.open(config.data.path)
    held_out = None
    if config.held_out is not None:
        refuse_same_tokens(config.data, config.held_out)
        found = Windows.open(config.held_out.path)
        chosen = chosen_windows(found, config.held_out_windows, seeds=context.random)
        held_out = HeldOut(found, chosen, every=config.evaluate_every, patience=config.patience)
    return Plan(
        windows=windows,
        order=Order(len(windows), batch=config.batch, seeds=context.random),
        curriculum=Curriculum(config.losses, config.phases),
        learning_rate=LearningRate(
            config.schedule, config.learning_rate, config.warmup_steps, config.min_learning_rate_share
        ),
        micro_batch=config.micro_batch or config.batch,
        gradient_clip=config.gradient_clip,
        steps=_steps(config, num_windows=len(windows)),
        seconds=_seconds_to_match(config, processes=context.launcher.processes),
        held_out=held_out,
        gradient_norms_every=config.gradient_norms_every,
    )


def _seconds_to_match(config: TrainConfig, *, processes: int) -> float:
    """0 where none are. Raises UserError for those of another number of processes."""
    if config.match_seconds is None:
        return 0.0
    seconds = seconds_of(config.match_seconds)
    refuse_other_processes(config.match_seconds, processes=processes)
    return seconds


def _steps(config: TrainConfig, *, num_windows: int) -> int | None:
    """Raises UserError for epochs that are too short for the warm-up or the phases, and for a step without a loss."""
    from demiurgic.train.schedule_checks import problem_of_schedules

    if config.epochs is None:
        return config.steps
    steps = steps_of_epochs(config.epochs, num_windows=num_windows, batch=config.batch)
    if config.warmup_steps >= steps:
        raise UserError(f"{warmup_too_long(config.warmup_steps, steps)}.")
    problem = problem_of_schedules(config.aims, num_steps=steps)
    if problem is not None:
        raise UserError(f"{problem[0].upper()}{problem[1:]}.")
    return steps


def _makes(config: TrainConfig) -> dict[str, type[Artifact]]:
    return {config.part: Model if config.lora is None else Adapter}


def _needs(config: TrainConfig) -> tuple[str, ...]:
    lora = () if config.lora is None else ("peft", *(("bitsandbytes",) if config.lora.precision == "nf4" else ()))
    return ("torch", "transformers", "accelerate", *lora)


STAGE = Stage(
    "train",
    TrainConfig,
    run,
    version=2,
    makes=_makes,
    uses_seed=True,
    resumable=True,
    needs=_needs,
    launches=True,
)
