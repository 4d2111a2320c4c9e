"""Looks at held-out windows in the course of a training: which weights are kept, and when it is not worth going on."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.train.batch import TokenBatch
from demiurgic.train.checkpoint import Checkpoints, Progress
from demiurgic.train.held_out import HeldOut, HeldOutLoss, held_out_loss
from demiurgic.train.parallel import autocast_of, back_to_shards, unwrapped
from demiurgic.train.weights import put_back, trained_weights

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

Nats = Callable[[TokenBatch], "Tensor"]
"""-log p [B,T] of each supervised token, 0 elsewhere."""


class Looks:
    """What a training asks of its held-out windows; without any it asks nothing and keeps the last weights."""

    def __init__(
        self,
        held_out: HeldOut | None,
        objective: "Module",
        *,
        teacher: Nats | None,
        accelerator: Any,
        checkpoints: Checkpoints,
    ) -> None:
        self._held_out = held_out
        self._objective = objective
        self._teacher = teacher
        self._accelerator = accelerator
        self._checkpoints = checkpoints

    def is_due(self, progress: Progress) -> bool:
        if self._held_out is None or progress.step in (0, progress.evaluated_step):
            return False
        return progress.step % self._held_out.every == 0 or progress.step == progress.num_steps

    def look(self, progress: Progress, *, between: Callable[[], None]) -> dict[str, JSON]:
        """Ask the windows, and keep these weights if they are the best so far; returns the line for the log.

        Raises UserError when the loss is no finite number.
        """
        if self._held_out is None:
            raise AssertionError("there are no held-out windows")
        first = progress.teacher_loss is None and self._teacher is not None
        teacher_loss = self._teacher_loss(self._held_out, between) if first else progress.teacher_loss
        found = self._student_loss(self._held_out, between)
        loss = found.nats_per_token
        if not math.isfinite(loss):
            raise UserError(
                f"After step {progress.step} the held-out loss is {loss}, though the training loss is finite. Try a "
                "lower learning_rate, and look at the held-out rows."
            )
        best = loss < progress.best_loss
        if best:
            self._keep(progress.step)
            progress.best_step, progress.best_loss = progress.step, loss
        progress.teacher_loss = teacher_loss
        progress.evaluated_step = progress.step
        progress.looks_in_vain = 0 if best else progress.looks_in_vain + 1
        patience = self._held_out.patience
        progress.stopped_early = patience is not None and progress.looks_in_vain >= patience
        line: dict[str, JSON] = {
            "nats_per_token": loss,
            "bits_per_token": loss / math.log(2),
            "windows": found.num_windows,
            "best": best,
        }
        if first:
            line["teacher_nats_per_token"] = teacher_loss
        return {"step": progress.step, "held_out": line}

    def take_best(self, progress: Progress) -> None:
        """Put the best weights into the model."""
        if self._held_out is not None and progress.best_step != progress.step:
            self._accelerator.wait_for_everyone()  # the first process may still be writing them
            put_back(unwrapped(self._objective), self._checkpoints.best(progress.best_step))

    def _keep(self, step: int) -> None:
        weights = trained_weights(unwrapped(self._objective), keep=self._accelerator.is_main_process)
        if self._accelerator.is_main_process:
            self._checkpoints.write_best(step, weights)

    def _student_loss(self, held_out: HeldOut, between: Callable[[], None]) -> HeldOutLoss:
        objective = unwrapped(self._objective)

        def nats(batch: TokenBatch) -> "Tensor":
            with autocast_of(self._accelerator, objective):
                found: Tensor = objective(batch, nats_only=True)
            return found

        objective.eval()
        loss = held_out_loss(nats, held_out, accelerator=self._accelerator, between=between)
        objective.train()
        back_to_shards(objective)
        return loss

    def _teacher_loss(self, held_out: HeldOut, between: Callable[[], None]) -> float:
        assert self._teacher is not None
        return held_out_loss(self._teacher, held_out, accelerator=self._accelerator, between=between).nats_per_token
