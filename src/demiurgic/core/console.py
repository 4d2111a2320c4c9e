"""What a person sees while work goes on: progress on stderr, results on stdout, only JSON where a program reads."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class Progress(Protocol):
    """A bar that is told how far the work has come."""

    def advance(self, amount: float = 1) -> None: ...

    def show(self, text: str) -> None:
        """Put a few words beside the bar (the present loss, the file being read)."""


class _Silent:
    def advance(self, amount: float = 1) -> None:
        del amount

    def show(self, text: str) -> None:
        del text


class _Bar:
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar = bar
        self._task = task

    def advance(self, amount: float = 1) -> None:
        self._bar.advance(self._task, amount)

    def show(self, text: str) -> None:
        self._bar.update(self._task, note=text)


class Console:
    """Prints for a terminal, a log file or a program.

    `quiet` drops everything but results. Bars are drawn only on a terminal; elsewhere a step is one plain line.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.live = not quiet and sys.stderr.isatty()

    def say(self, line: str = "") -> None:
        """One line about the work, on stderr."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, what: str, total: float | None = None, *, done: float = 0) -> Iterator[Progress]:
        """A bar over `total` units, of which `done` were done by an earlier run."""
        if not self.live:
            yield _Silent()
            return
        from rich import progress as rich_progress
        from rich.console import Console as RichConsole

        columns = (
            rich_progress.TextColumn("  {task.description}", markup=False),
            rich_progress.BarColumn(bar_width=28),
            rich_progress.MofNCompleteColumn(),
            rich_progress.TimeRemainingColumn(compact=True),
            rich_progress.TextColumn("{task.fields[note]}", markup=False),  # a phase may be called [warm]
        )
        with rich_progress.Progress(*columns, console=RichConsole(stderr=True), transient=True) as bar:
            yield _Bar(bar, bar.add_task(what, total=total, completed=int(done), note=""))


def duration(seconds: float) -> str:
    """Seconds as a person reads them: `0.4 s`, `37 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min"


def size(num_bytes: float) -> str:
    """Bytes as a person reads them, in decimal units: `512 B`, `3.4 MB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(num_bytes) < 1000 or unit == "GB":
            return f"{num_bytes:.0f} {unit}" if unit == "B" else f"{num_bytes:.1f} {unit}"
        num_bytes /= 1000
    raise AssertionError("unreachable")


def now() -> str:
    """The present time in UTC, as ledgers write it."""
    return moment(time.time())


def moment(seconds: float) -> str:
    """A time since the epoch, such as a file's, as ledgers write it: in UTC, to the second below."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
