"""Small real providers for the tests: they answer from memory, count what they are asked, and fail on command."""

import threading
from collections.abc import Iterator, Mapping

from demiurgic.core.metric import JSON
from demiurgic.core.records import Message
from demiurgic.providers.base import Done, Event, Provider, Reply, Request, Sampling, Text, Usage


class Counting(Provider):
    """Says its number; `fail_with` are raised first, one per request. Each answer waits for `gate`, if there is one."""

    def __init__(
        self,
        *,
        identity: Mapping[str, JSON] | None = None,
        fail_with: tuple[BaseException, ...] = (),
        gate: threading.Event | None = None,
    ) -> None:
        self._identity = dict(identity or {"provider": "counting"})
        self._fail_with = list(fail_with)
        self._gate = gate
        self._lock = threading.Lock()
        self.num_asked = 0
        self.closed = False

    @property
    def identity(self) -> Mapping[str, JSON]:
        return self._identity

    def complete(self, request: Request) -> Iterator[Event]:
        with self._lock:
            self.num_asked += 1
            number = self.num_asked
            failure = self._fail_with.pop(0) if self._fail_with else None
        if failure is not None:
            raise failure
        if self._gate is not None:
            assert self._gate.wait(10)
        yield Text("answer ")
        yield Text(str(number))
        yield Done("stop", Usage(3, 2), {"number": number})

    def close(self) -> None:
        self.closed = True


def ask(text: str, *, sample: int = 0, **sampling) -> Request:
    return Request((Message("user", text),), Sampling(**sampling), sample)


def answer(number: int) -> Reply:
    """The reply to the request of that number, from 1."""
    return Reply(f"answer {number}", "stop", Usage(3, 2), {"number": number})
