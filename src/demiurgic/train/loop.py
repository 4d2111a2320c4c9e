"""The training loop: step, log, look, checkpoint, to the last step or Ctrl-C. Knows no config and no artifacts.

With several processes all of them walk the same steps, and what would part their ways (Ctrl-C, the time of a
checkpoint, the pace) is agreed on. The first process writes.
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.console import Console
from demiurgic.core.seeds import Seeds
from demiurgic.models.windows import Windows
from demiurgic.train.budget import steps_within
from demiurgic.train.checkpoint import Checkpoint, CheckpointPace, Checkpoints, Progress
from demiurgic.train.component_norms import component_norms
from demiurgic.train.components import Component
from demiurgic.train.curriculum import Curriculum
from demiurgic.train.held_out import HeldOut
from demiurgic.train.interrupts import Interrupts
from demiurgic.train.learning_rate import LearningRate
from demiurgic.train.log import NoLog, TrainLog
from demiurgic.train.looks import Looks, Nats
from demiurgic.train.optimizer import (
    Gradient,
    accumulate,
    clip,
    gradient_norm,
    refuse_non_finite_loss,
    refuse_non_finite_norm,
)
from demiurgic.train.order import Order
from demiurgic.train.parallel import largest, summed, unwrapped
from demiurgic.train.randomness import seed_randomness
from demiurgic.train.record import Announcer, StepRecord, step_line
from demiurgic.train.signals.agreement import Agreement
from demiurgic.train.source import StepText, TextSource
from demiurgic.train.trackers import Trackers
from demiurgic.train.weights import optimizer_state, put_back, put_back_optimizer, trained_weights

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer

    from demiurgic.train.zero import ZeroOptimizer


@dataclass(frozen=True)
class Plan:
    """What a run trains on and for how long. `seconds` fixes the number of steps where `steps` is None."""

    windows: Windows
    order: Order
    curriculum: Curriculum
    learning_rate: LearningRate
    micro_batch: int
    gradient_clip: float | None
    steps: int | None
    seconds: float
    held_out: HeldOut | None
    gradient_norms_every: int | None = None
    """How often the gradient of each component is measured by itself."""


class Trainer:
    """One run over a model, whose trainable parameters it changes in place. Goes on from the newest checkpoint."""

    def __init__(
        self,
        objective: "Module",
        plan: Plan,
        *,
        source: TextSource,
        optimizer: "Optimizer | ZeroOptimizer",
        accelerator: Any,
        checkpoints: Checkpoints,
        log_path: Path,
        console: Console,
        checkpoint_seconds: float,
        seeds: Seeds,
        teacher: Nats | None = None,
        agreement: Agreement | None = None,
        trackers: Trackers | None = None,
    ) -> None:
        """`objective` is spread over the processes already, and `optimizer` over its parameters as they are then.

        `agreement` counts what a served teacher's words are known by.
        """
        self.plan = plan
        self.source = source
        self.objective = objective
        self.inner = unwrapped(objective)
        self.optimizer = optimizer
        self.accelerator = accelerator
        self.checkpoints = checkpoints
        self.log_path = log_path
        self.console = console if accelerator.is_main_process else Console(quiet=True)
        self.checkpoint_seconds = checkpoint_seconds
        self.seeds = seeds
        self.agreement = agreement
        self.trackers = trackers if accelerator.is_main_process else None
        self.looks = Looks(plan.held_out, objective, teacher=teacher, accelerator=accelerator, checkpoints=checkpoints)
        self.progress = Progress(num_steps=plan.steps)

    def run(self) -> Progress:
        """Train to the end and leave the best weights in the model.

        Raises UserError on a number that is not finite (before the weights are touched) and on a log that does not
        belong to the checkpoint, and KeyboardInterrupt on Ctrl-C, after a checkpoint.
        """
        self._resume()
        progress, steps = self.progress, self.plan.steps
        total, done = (self.plan.seconds, progress.train_seconds) if steps is None else (steps, progress.step)
        with (
            Interrupts(self._says_it_stops) as interrupts,
            self._log() as log,
            self.trackers or nullcontext(),
            self.console.progress("train", total, done=done) as bar,
        ):
            announcer = Announcer(self.console, bar)
            pace = CheckpointPace(self.checkpoint_seconds)

            def pause_if_asked() -> None:
                (asked,) = largest([interrupts.pending], self.accelerator)
                if asked:
                    self._checkpoint(log)
                    raise KeyboardInterrupt

            while True:
                if self.looks.is_due(progress):
                    self._write(log, self.looks.look(progress, between=pause_if_asked))
                if progress.stopped_early or progress.step == progress.num_steps:
                    pause_if_asked()
                    self.looks.take_best(progress)
                    pause_if_asked()
                    self._sum_agreement()
                    return progress
                asked, due = largest([interrupts.pending, pace.is_due()], self.accelerator)
                if asked or due:
                    with pace.writing():
                        self._checkpoint(log)
                if asked:
                    raise KeyboardInterrupt
                record = self._step()
                self._write(log, step_line(record))
                bar.advance(record.seconds if steps is None else 1)
                announcer.step(record)

    @property
    def _says_it_stops(self) -> Console:
        """Of several processes none: the one that started them does."""
        return self.console if self.accelerator.num_processes == 1 else Console(quiet=True)

    def _log(self) -> TrainLog | NoLog:
        progress = self.progress
        if not self.accelerator.is_main_process:
            return NoLog()
        return TrainLog(self.log_path, step=progress.step, evaluated_step=progress.evaluated_step)

    def _write(self, log: TrainLog | NoLog, line: dict[str, Any]) -> None:
        log.write(line)
        if self.trackers is not None:
            self.trackers.write(line)

    def _step(self) -> StepRecord:
        """One optimizer step."""
        started = time.perf_counter()
        progress, plan, number = self.progress, self.plan, self.progress.step + 1
        text = self.source.text(progress.step, num_steps=progress.num_steps)
        components = plan.curriculum.components(
            progress.step, num_steps=progress.num_steps, source=text.source, balance=progress.balance
        )
        paused = time.perf_counter()
        norms = self._component_norms(text, components)
        started += time.perf_counter() - paused  # passes for the log are no training
        gradient = self._gradient(text, components)
        refuse_non_finite_loss(gradient, [c.name for c in components], step=number, windows=text.windows)
        norm = gradient_norm(self.inner)
        refuse_non_finite_norm(norm, self.inner, step=number, windows=text.windows)
        clip(self.inner, norm, limit=plan.gradient_clip)
        rate = plan.learning_rate.at(progress.step, num_steps=progress.num_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        phase = plan.curriculum.phase(progress.step, num_steps=progress.num_steps)
        seconds = self._count(time.perf_counter() - started, gradient)
        progress.balance = plan.curriculum.balance_after(
            progress.balance, components, gradient.raw_K, source=text.source
        )
        return StepRecord(
            step=progress.step,
            num_steps=progress.num_steps,
            epoch=plan.order.epochs(progress.step),
            tokens=progress.tokens,
            learning_rate=rate,
            gradient_norm=norm,
            seconds=seconds,
            source=text.source,
            components=components,
            raw_K=gradient.raw_K,
            total=gradient.total,
            component_norms=norms,
            phase=phase,
            facts=text.facts,
        )

    def _gradient(self, text: StepText, components: Sequence[Component]) -> Gradient:
        """The gradient of a step's text, in the parameters, of some or all of its components."""
        # dropout is a function of the step, whatever ran before it
        seed_randomness(self.seeds, step=self.progress.step, process=self.accelerator.process_index)
        self.optimizer.zero_grad(set_to_none=True)
        return accumulate(
            self.objective,
            text.batch,
            components=components,
            accelerator=self.accelerator,
            micro_batch=self.plan.micro_batch,
        )

    def _component_norms(self, text: StepText, components: Sequence[Component]) -> dict[str, float] | None:
        every = self.plan.gradient_norms_every
        if every is None or (self.progress.step + 1) % every:
            return None
        with self.agreement.uncounted() if self.agreement is not None else nullcontext():
            return component_norms(self.inner, components, one_pass=lambda alone: self._gradient(text, alone))

    def _count(self, seconds: float, gradient: Gradient) -> float:
        """Add a step to the progress; returns its seconds, of the slowest process where that decides anything."""
        progress = self.progress
        if progress.num_steps is None:
            (seconds,) = largest([seconds], self.accelerator)
        progress.step += 1
        progress.tokens += gradient.tokens
        progress.train_seconds += seconds
        if progress.num_steps is None:
            progress.first_seconds.append(seconds)
            progress.num_steps = steps_within(self.plan.seconds, progress.first_seconds)
        return seconds

    def _sum_agreement(self) -> None:
        """Of all processes; what earlier starts counted, the first has."""
        if self.agreement is not None:
            counts = self.agreement.counts()
            sums = summed([*counts.values()], self.accelerator)
            self.progress.agreement = dict(zip(counts, sums, strict=True))

    def _checkpoint(self, log: TrainLog | NoLog) -> None:
        self._sum_agreement()
        first = self.accelerator.is_main_process
        weights = trained_weights(self.inner, keep=first)
        state = Checkpoint(self.progress, weights, optimizer_state(self.optimizer, keep=first))
        if first:
            log.sync()  # first: a checkpoint whose steps the log does not hold could not be gone on from
            self.checkpoints.write(state)
        # the others must not end, and with them this process, before it is written
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        self.objective.train()
        checkpoint = self.checkpoints.newest()
        if checkpoint is not None:
            self.progress = checkpoint.progress
            if self.agreement is not None and self.accelerator.is_main_process:
                self.agreement.go_on_from(checkpoint.progress.agreement)
            put_back(self.inner, checkpoint.weights)
            put_back_optimizer(self.optimizer, checkpoint.optimizer)
