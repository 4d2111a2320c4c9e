"""Asks again when a service fails in a way that passes. Knows no service, and does not know what an answer costs."""

import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import TypeVar

from demiurgic.core.console import Console, duration
from demiurgic.core.metric import JSON
from demiurgic.core.seeds import Seeds
from demiurgic.providers.base import Done, Event, Provider, ProviderError, Request, Text, collect
from demiurgic.providers.scores import Passage, Scored, scorer

Result = TypeVar("Result")

LONGEST_SECONDS = 60.0
"""The longest wait of our own."""
LONGEST_ASKED_SECONDS = 300.0
"""A service that asks for a longer wait than this stops the run instead."""


class Retrying(Provider):
    """The same provider, more patient. Each answer comes whole, as one event: half of one is never passed on.

    It is asked `attempts` times at most, with waits of `first_seconds`, twice that, and so on, each times 0.5 to 1.5,
    and none shorter than the service asks for. Raises the last error when the attempts are used up or the service
    wants too long a wait, and at once an error that no repetition mends. Closing ends all waits.
    """

    def __init__(
        self,
        inner: Provider,
        *,
        attempts: int = 4,
        first_seconds: float = 2.0,
        console: Console | None = None,
        seeds: Seeds | None = None,
    ) -> None:
        self._inner = inner
        self._attempts = attempts
        self._first_seconds = first_seconds
        self._console = console or Console()
        # Threads that fail together must not come back together.
        self._dice = (seeds or Seeds(0)).stream("retries")
        self._given_up = threading.Event()

    @property
    def identity(self) -> Mapping[str, JSON]:
        return self._inner.identity

    def complete(self, request: Request) -> Iterator[Event]:
        reply = self._patiently(lambda: collect(self._inner.complete(request)))
        yield Text(reply.text)
        yield Done(reply.finish, reply.usage, reply.raw)

    def score(self, passage: Passage, *, top_k: int) -> Scored:
        """Raises UserError where the provider inside has no log-probabilities."""
        asked = scorer(self._inner)
        return self._patiently(lambda: asked.score(passage, top_k=top_k))

    def _patiently(self, ask: Callable[[], Result]) -> Result:
        for attempt in count(1):
            try:
                return ask()
            except ProviderError as error:
                if attempt == self._attempts or not self._wait(attempt, error):
                    raise
        raise AssertionError("unreachable")

    def give_up(self) -> None:
        """End all waits and ask nothing twice any more; answers under way may still come."""
        self._given_up.set()

    def close(self) -> None:
        self.give_up()
        self._inner.close()

    def _wait(self, attempt: int, error: ProviderError) -> bool:
        """Wait as long as it takes; False when there is nothing to wait for."""
        asked = error.retry_after_seconds or 0.0
        if not error.retryable or asked > LONGEST_ASKED_SECONDS or self._given_up.is_set():
            return False
        own = min(LONGEST_SECONDS, self._first_seconds * 2.0 ** (attempt - 1)) * (0.5 + self._dice.random())
        seconds = max(own, asked)
        self._console.say(f"{error} Asking again in {duration(seconds)} ({attempt} of {self._attempts - 1}).")
        return not self._given_up.wait(seconds)
