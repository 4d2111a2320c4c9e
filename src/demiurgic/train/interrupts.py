"""Ctrl-C that waits for a good moment: once is noted, twice is at once."""

import signal
import threading
from types import FrameType
from typing import Any

from demiurgic.core.console import Console


class Interrupts:
    """Used as a context manager; the handler that was there before is put back.

    Python gives signals to the main thread alone: in any other, nothing is changed and `pending` stays False.
    """

    def __init__(self, console: Console, *, what: str = "optimizer step") -> None:
        """`what` is finished before the work stops."""
        self.pending = False
        self._console = console
        self._what = what
        self._previous: Any = None
        self._installed = False

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._note)
            self._installed = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pending:
            self._restore()
            raise KeyboardInterrupt
        self.pending = True
        self._console.say(f"Stopping after this {self._what}, with a checkpoint. Ctrl-C again stops at once.")

    def _restore(self) -> None:
        if self._installed:
            # None: the handler before was not set from Python, and cannot be put back but by the default
            signal.signal(signal.SIGINT, self._previous or signal.SIG_DFL)
            self._installed = False
