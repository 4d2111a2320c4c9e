"""Everything a training run needs to go on as if it had never stopped, on disk.

`checkpoint/step-00000120/` is the newest state; `checkpoint/best-00000100/` holds the best weights so far. A new folder
is whole before an old one goes, so that a kill at any instant leaves one checkpoint and the best weights it names.
"""

import pickle
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import new_folder

if TYPE_CHECKING:
    from torch import Tensor

WRITING_SHARE = 0.05
"""How much of the time may go into checkpoints."""
STATE = "state.pt"
WEIGHTS = "weights.pt"


@dataclass
class Progress:
    """How far a run has come. Steps are optimizer steps, counted from 1 when they are done."""

    step: int = 0
    num_steps: int | None = None
    """None while it is being measured how many fit into a time."""
    tokens: int = 0
    """Tokens seen, without padding."""
    train_seconds: float = 0.0
    """In training steps alone: neither evaluations nor checkpoints."""
    first_seconds: list[float] = field(default_factory=list)
    """Of each of the first steps, as long as the pace is being measured."""
    evaluated_step: int = 0
    best_step: int = 0
    """0 while nothing was evaluated."""
    best_loss: float = float("inf")
    looks_in_vain: int = 0
    """Looks at held-out windows since the best."""
    stopped_early: bool = False
    teacher_loss: float | None = None
    """The teacher's own loss on the held-out windows; None while it was not asked."""
    balance: dict[str, float] = field(default_factory=dict)
    """What balanced weights follow (train/balance.py)."""
    agreement: dict[str, float] = field(default_factory=dict)
    """Of a served teacher's words (train/signals/agreement.py), over all processes."""


@dataclass(frozen=True)
class Checkpoint:
    """What is saved beside `Progress`: the trained weights and the optimizer's state.

    Random streams start anew at every step, from the seed and its number, so there is no state of theirs to save.
    """

    progress: Progress
    weights: "dict[str, Tensor]"
    optimizer: dict[str, Any]


class CheckpointPace:
    """When the next checkpoint is due: after so many seconds, or later where writing one takes long."""

    def __init__(self, seconds: float) -> None:
        """0 is after every step."""
        self._wanted = self._wait = seconds
        self._since = time.perf_counter()

    def is_due(self) -> bool:
        return time.perf_counter() - self._since >= self._wait

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around the writing of a checkpoint, by all processes."""
        started = time.perf_counter()
        yield
        self._since = time.perf_counter()
        self._wait = max(self._wanted, (self._since - started) / WRITING_SHARE) if self._wanted else 0.0


class Checkpoints:
    """The checkpoint folder of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> Checkpoint | None:
        """The state to go on from, or None. Raises UserError when it is damaged.

        Its tensors are mapped from the file, so that several processes read it once: copy what is to stay.
        """
        import torch

        steps = self._whole("step")
        if not steps:
            return None
        path = steps[-1] / STATE
        try:
            data = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"The checkpoint {path} is damaged ({reason}). Delete {self.folder} to start again."
            ) from None
        return Checkpoint(Progress(**data["progress"]), data["weights"], data["optimizer"])

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then remove older ones and best weights that it does not name."""
        import torch

        progress = checkpoint.progress
        path = self.folder / f"step-{progress.step:08d}"
        if path.exists():
            return
        data = {
            "progress": asdict(progress),
            "weights": checkpoint.weights,
            "optimizer": checkpoint.optimizer,
        }
        for unfinished in self.folder.glob("*.tmp"):
            shutil.rmtree(unfinished)
        with new_folder(path) as folder:
            torch.save(data, folder / STATE)
        for old in self._whole("step"):
            if old != path:
                shutil.rmtree(old)
        for old in self._whole("best"):
            if old != self._best(progress.best_step):
                shutil.rmtree(old)

    def write_best(self, step: int, weights: "dict[str, Tensor]") -> None:
        """Keep the weights of a step beside those that the newest checkpoint names."""
        import torch

        path = self._best(step)
        if path.exists():
            shutil.rmtree(path)
        with new_folder(path) as folder:
            torch.save(weights, folder / WEIGHTS)

    def best(self, step: int) -> "dict[str, Tensor]":
        """Mapped from the file, as those of `newest` are."""
        import torch

        path = self._best(step) / WEIGHTS
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return weights

    def remove(self) -> None:
        """Delete the whole folder: the run is done."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def _best(self, step: int) -> Path:
        return self.folder / f"best-{step:08d}"

    def _whole(self, what: str) -> list[Path]:
        return sorted(path for path in self.folder.glob(f"{what}-*") if path.suffix != ".tmp")
