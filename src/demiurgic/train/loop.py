"""The training loop: step, log, evaluate, checkpoint, to the last step or Ctrl-C. Knows no config and no artifacts."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.console import Console
from demiurgic.core.console import Progress as Bar
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.models.precision import Precision
from demiurgic.models.windows import Windows
from demiurgic.train.budget import steps_within
from demiurgic.train.checkpoint import Checkpoint, Checkpoints, Progress, random_state, set_random_state
from demiurgic.train.components import Component
from demiurgic.train.curriculum import Curriculum
from demiurgic.train.held_out import HeldOutLoss, held_out_loss
from demiurgic.train.interrupts import Interrupts
from demiurgic.train.learning_rate import LearningRate
from demiurgic.train.log import TrainLog
from demiurgic.train.optimizer import (
    Gradient,
    accumulate,
    clip,
    gradient_norm,
    refuse_non_finite_loss,
    refuse_non_finite_norm,
)
from demiurgic.train.order import Order
from demiurgic.train.source import TextSource
from demiurgic.train.weights import put_back, trained_weights

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer
    from transformers import PreTrainedModel


EVALUATION_WINDOWS = 8
"""Windows of one held-out batch."""


@dataclass(frozen=True)
class HeldOut:
    """The windows that choose the best weights, and how often they are asked."""

    windows: Windows
    chosen: Sequence[int]
    every: int


@dataclass(frozen=True)
class Plan:
    """What a run trains on and for how long. `seconds` fixes the number of steps where `steps` is None."""

    windows: Windows
    order: Order
    source: TextSource
    curriculum: Curriculum
    learning_rate: LearningRate
    micro_batch: int
    gradient_clip: float | None
    precision: Precision
    steps: int | None
    seconds: float
    held_out: HeldOut | None


class Trainer:
    """One run over a model, whose trainable parameters it changes in place. Goes on from the newest checkpoint."""

    def __init__(
        self,
        objective: "Module",
        plan: Plan,
        *,
        model: "PreTrainedModel",
        optimizer: "Optimizer",
        accelerator: Any,
        checkpoints: Checkpoints,
        log_path: Path,
        console: Console,
        checkpoint_seconds: float,
    ) -> None:
        self.plan = plan
        self.objective, self.optimizer = accelerator.prepare(objective, optimizer)
        self.model = model
        self.accelerator = accelerator
        self.checkpoints = checkpoints
        self.log_path = log_path
        self.console = console
        self.checkpoint_seconds = checkpoint_seconds
        self.progress = Progress(num_steps=plan.steps)

    def run(self) -> Progress:
        """Train to the end and leave the best weights in the model.

        Raises UserError on a number that is not finite (before the weights are touched) and on a log that does not
        belong to the checkpoint, and KeyboardInterrupt on Ctrl-C, after a checkpoint.
        """
        self._resume()
        progress, steps = self.progress, self.plan.steps
        total, done = (self.plan.seconds, progress.train_seconds) if steps is None else (steps, progress.step)
        log = TrainLog(self.log_path, step=progress.step, evaluated_step=progress.evaluated_step)
        with Interrupts(self.console) as interrupts, log, self.console.progress("train", total, done=done) as bar:

            def pause_if_asked() -> None:
                if interrupts.pending:
                    self._checkpoint(log)
                    raise KeyboardInterrupt

            saved = time.perf_counter()
            while True:
                if self._evaluation_is_due():
                    self._evaluate(log, pause_if_asked)
                if progress.step == progress.num_steps:
                    pause_if_asked()
                    self._take_best()
                    pause_if_asked()
                    return progress
                if time.perf_counter() - saved >= self.checkpoint_seconds:
                    self._checkpoint(log)
                    saved = time.perf_counter()
                self._step(log, bar)
                pause_if_asked()

    def _step(self, log: TrainLog, bar: Bar) -> None:
        """One optimizer step and its line in the log."""
        started = time.perf_counter()
        progress, plan = self.progress, self.plan
        text, step = plan.source.text(progress.step), progress.step + 1
        components = plan.curriculum.components(progress.step, num_steps=progress.num_steps, source=text.source)
        self.optimizer.zero_grad(set_to_none=True)
        gradient = accumulate(
            self.objective,
            text.batch,
            components=components,
            accelerator=self.accelerator,
            micro_batch=plan.micro_batch,
        )
        refuse_non_finite_loss(gradient, [c.name for c in components], step=step, windows=text.windows)
        norm = gradient_norm(self.model)
        refuse_non_finite_norm(norm, self.model, step=step, windows=text.windows)
        clip(self.model, norm, limit=plan.gradient_clip)
        rate = plan.learning_rate.at(progress.step, num_steps=progress.num_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        seconds = time.perf_counter() - started
        self._count(seconds, gradient)
        log.write(self._line(components, gradient, norm=norm, rate=rate, seconds=seconds))
        bar.advance(seconds if plan.steps is None else 1)
        bar.show(f"loss {gradient.total:.4f}")

    def _count(self, seconds: float, gradient: Gradient) -> None:
        progress = self.progress
        progress.step += 1
        progress.tokens += gradient.tokens
        progress.train_seconds += seconds
        if progress.num_steps is None:
            progress.first_seconds.append(seconds)
            progress.num_steps = steps_within(self.plan.seconds, progress.first_seconds)

    def _line(
        self, components: Sequence[Component], gradient: Gradient, *, norm: float, rate: float, seconds: float
    ) -> dict[str, JSON]:
        accounts: dict[str, JSON] = {
            component.name: {
                "raw": raw if component.weight else None,
                "weight": component.weight,
                "weighted": component.weight * raw,
            }
            for component, raw in zip(components, gradient.raw_K, strict=True)
        }
        return {
            "step": self.progress.step,
            "epoch": self.plan.order.epochs(self.progress.step),
            "tokens": self.progress.tokens,
            "learning_rate": rate,
            "gradient_norm": norm,
            "seconds": seconds,
            "total": gradient.total,
            "components": accounts,
        }

    def _evaluation_is_due(self) -> bool:
        progress, held_out = self.progress, self.plan.held_out
        if held_out is None or progress.step in (0, progress.evaluated_step):
            return False
        return progress.step % held_out.every == 0 or progress.step == progress.num_steps

    def _evaluate(self, log: TrainLog, pause_if_asked: Callable[[], None]) -> None:
        """Ask the held-out windows, and keep these weights if they are the best so far."""
        progress = self.progress
        found = self._held_out_loss(pause_if_asked)
        loss = found.nats_per_token
        if not math.isfinite(loss):
            raise UserError(
                f"After step {progress.step} the held-out loss is {loss}, though the training loss is finite. Try a "
                "lower learning_rate, and look at the held-out rows."
            )
        if loss < progress.best_loss:
            self.checkpoints.write_best(progress.step, trained_weights(self.model))
            progress.best_step, progress.best_loss = progress.step, loss
        progress.evaluated_step = progress.step
        best = progress.best_step == progress.step
        nats_and_bits: dict[str, JSON] = {"nats_per_token": loss, "bits_per_token": loss / math.log(2)}
        log.write({"step": progress.step, "held_out": {**nats_and_bits, "windows": found.num_windows, "best": best}})

    def _take_best(self) -> None:
        """Put the best weights into the model."""
        if self.plan.held_out is not None and self.progress.best_step != self.progress.step:
            put_back(self.model, self.checkpoints.best(self.progress.best_step))

    def _held_out_loss(self, pause_if_asked: Callable[[], None]) -> HeldOutLoss:
        held_out = self.plan.held_out
        if held_out is None:
            raise AssertionError("there are no held-out windows")
        return held_out_loss(
            self.model,
            held_out.windows,
            held_out.chosen,
            batch=EVALUATION_WINDOWS,
            device=self.accelerator.device,
            precision=self.plan.precision,
            between=pause_if_asked,
        )

    def _checkpoint(self, log: TrainLog) -> None:
        log.sync()  # first: a checkpoint whose steps the log does not hold could not be gone on from
        states = (trained_weights(self.model), self.optimizer.state_dict(), random_state())
        self.checkpoints.write(Checkpoint(self.progress, *states))

    def _resume(self) -> None:
        self.objective.train()
        checkpoint = self.checkpoints.newest()
        if checkpoint is not None:
            self.progress = checkpoint.progress
            put_back(self.model, checkpoint.weights)
            self.optimizer.load_state_dict(checkpoint.optimizer)
            set_random_state(checkpoint.randomness)
