"""Experiment trackers, by name: each line of the log as scalars, in the service's own form.

The log (`log.jsonl`) holds everything and is always written. A tracker is a copy for people who look elsewhere, so that
one that fails later says so once, and the training goes on without it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from demiurgic.core.console import Console
from demiurgic.core.errors import UserError, unknown
from demiurgic.core.hashing import digest_of
from demiurgic.core.metric import JSON
from demiurgic.core.optional import require

PROJECT = "demiurgic"
"""The project that a service files its runs under."""


@dataclass(frozen=True)
class Where:
    """What a tracker needs to know of a training."""

    folder: Path
    run: str
    id: str
    """Of this training alone: the same training in another folder is another."""
    first_step: int
    """That this run will send. What an interrupted run sent of it or of later ones is taken back where that can be."""

    @property
    def goes_on(self) -> bool:
        """Whether an earlier run has sent steps; one that begins anew begins a new run of the service, too."""
        return self.first_step > 1


class Tracker(Protocol):
    """One service."""

    def write(self, scalars: Mapping[str, float], *, step: int) -> None: ...

    def close(self) -> None: ...


class Trackers:
    """All trackers of one training. A context manager; a service is opened with the first line it is sent.

    Raises UserError at once for a name that is not known, and for a package that is missing.
    """

    def __init__(self, names: Sequence[str], *, folder: Path, run: str, console: Console) -> None:
        """`folder` is where those that write files put them; `run` tells this training from others."""
        refuse_missing(names)
        self._names, self._folder, self._run, self._console = list(names), folder, run, console
        self._open: dict[str, Tracker] = {}

    def __enter__(self) -> "Trackers":
        return self

    def write(self, line: Mapping[str, JSON]) -> None:
        """Send a line of the log."""
        step = line["step"]
        assert isinstance(step, int)
        for name in list(self._names):
            self._guarded(name, partial(self._send, name, line, step=step))

    def _send(self, name: str, line: Mapping[str, JSON], *, step: int) -> None:
        if name not in self._open:
            # a look at held-out windows comes after the line of its step, which an earlier run wrote
            first = step + 1 if "held_out" in line else step
            own = f"{self._run}-{digest_of(str(self._folder.absolute()))[:8]}"
            self._open[name] = TRACKERS[name](Where(self._folder, self._run, own, first))
        self._open[name].write(dict(scalars(line)), step=step)

    def __exit__(self, *exception: object) -> None:
        for name, tracker in list(self._open.items()):
            self._guarded(name, tracker.close)

    def _guarded(self, name: str, call: Callable[[], None]) -> None:
        try:
            with redirect_stdout(sys.stderr):  # stdout is for results
                call()
        except Exception as error:  # a service of others, in whatever way it fails: the log has what it misses
            self._names.remove(name)
            self._open.pop(name, None)
            reason = (str(error) or type(error).__name__).partition("\n")[0]
            self._console.say(f"  the tracker {name} failed ({reason}); the training goes on, log.jsonl has every step")


def refuse_missing(names: Sequence[str]) -> None:
    """Raises UserError for a tracker that is not known, or one whose package is missing. Imports nothing."""
    for name in names:
        if name not in TRACKERS:
            raise UserError(unknown("tracker", name, TRACKERS))
    require(*(PACKAGE_OF[name] for name in names))


def scalars(line: Mapping[str, JSON]) -> Iterator[tuple[str, float]]:
    """The numbers of a log line, as `loss/total`, `loss/forward_kl/raw`, `train/learning_rate`, `held_out/windows`."""
    for name, value in line.items():
        match name, value:
            case "step", _:
                continue
            case "total", float() | int():
                yield "loss/total", float(value)
            case "components", dict():
                yield from _numbers("loss", value)
            case "phase" | "held_out", dict():
                yield from _numbers(name, value)
            case _:
                yield from _numbers("train", {name: value})


def _numbers(prefix: str, values: Mapping[str, JSON]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(f"{prefix}/{name}", value)
        elif isinstance(value, int | float):  # a truth is 0 or 1
            yield f"{prefix}/{name}", float(value)


class _TensorBoard:
    def __init__(self, where: Where) -> None:
        from tensorboardX import SummaryWriter

        self._writer: Any = SummaryWriter(str(where.folder / "tensorboard"), purge_step=where.first_step)

    def write(self, scalars: Mapping[str, float], *, step: int) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    def __init__(self, where: Where) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=PROJECT,
            name=where.run,
            id=where.id,
            resume="allow" if where.goes_on else None,
            dir=str(where.folder),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def write(self, scalars: Mapping[str, float], *, step: int) -> None:
        self._run.log({**scalars}, step=step)

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    def __init__(self, where: Where) -> None:
        import trackio

        self._run: Any = trackio.init(project=PROJECT, name=where.id, resume="allow" if where.goes_on else "never")

    def write(self, scalars: Mapping[str, float], *, step: int) -> None:
        self._run.log({**scalars}, step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: Mapping[str, Callable[[Where], Tracker]] = {
    "tensorboard": _TensorBoard,
    "wandb": _Wandb,
    "trackio": _Trackio,
}
PACKAGE_OF = {"tensorboard": "tensorboardX", "wandb": "wandb", "trackio": "trackio"}
