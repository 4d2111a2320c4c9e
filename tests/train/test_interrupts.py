"""Ctrl-C during training."""

import signal
import threading

import pytest

from demiurgic.core.console import Console
from demiurgic.train.interrupts import Interrupts


def interrupts() -> Interrupts:
    return Interrupts(Console(quiet=True))


def test_the_first_is_noted():
    with interrupts() as noted:
        signal.raise_signal(signal.SIGINT)
        assert noted.pending


def test_the_second_stops_at_once():
    with pytest.raises(KeyboardInterrupt), interrupts():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_the_handler_of_before_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_outside_the_main_thread_nothing_is_changed():
    seen = []

    def work() -> None:
        with interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
