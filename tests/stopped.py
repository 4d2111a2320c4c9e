"""Contexts in which a training is stopped after some steps: by Ctrl-C, or by a power cut."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from demiurgic.core.console import Console
from demiurgic.core.console import Progress as Bar
from demiurgic.run.context import Context


class StepHook(Console):
    """Calls a function after each training step, with the number of the step in this process."""

    def __init__(self, call: Callable[[int], None]) -> None:
        super().__init__(quiet=True)
        self._call = call
        self._step = 0

    @contextmanager
    def progress(self, what: str, total: float | None = None, *, done: float = 0) -> Iterator[Bar]:
        with super().progress(what, total, done=done) as bar:
            yield _Hooked(bar, self._after_step)

    def _after_step(self) -> None:
        self._step += 1
        self._call(self._step)


class _Hooked:
    def __init__(self, bar: Bar, call: Callable[[], None]) -> None:
        self._bar = bar
        self._call = call

    def advance(self, amount: float = 1) -> None:
        self._bar.advance(amount)

    def show(self, text: str) -> None:
        self._call()


def interrupted(after: int, *, checkpoint_seconds: float = 1e9) -> Context:
    """A context in which Ctrl-C is pressed after some steps."""

    def press(step: int) -> None:
        if step == after:
            signal.raise_signal(signal.SIGINT)

    return Context(console=StepHook(press), device="cpu", checkpoint_seconds=checkpoint_seconds)


class PowerCutError(Exception):
    """Ends a run in the middle, with no chance to save anything."""


def cut(after: int, *, checkpoint_seconds: float) -> Context:
    def fail(step: int) -> None:
        if step == after:
            raise PowerCutError

    return Context(console=StepHook(fail), device="cpu", checkpoint_seconds=checkpoint_seconds)
