"""A provider's answer, drawn in a thread and awaited in the event loop. Knows no HTTP."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeAlias

from demiurgic.providers.base import Event

_Item: TypeAlias = Event | Exception | None


class Answering:
    """Draws events until they end or nobody wants them any more; `on_end` is called in the loop when the work is over.

    Each answer has a thread of its own: one that waits for a service holds up no other.
    """

    def __init__(self, events: Iterator[Event], *, on_end: Callable[[], None]) -> None:
        self._events = events
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[_Item] = asyncio.Queue()
        self._unwanted = threading.Event()
        threading.Thread(target=self._draw, name="answer", daemon=True).start()

    def abandon(self) -> None:
        """Nobody waits for more: the provider's iterator is closed before its next event is drawn."""
        self._unwanted.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (item := await self._items.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def _draw(self) -> None:
        try:
            for event in self._events:
                if self._unwanted.is_set():
                    break
                self._hand_over(event)
        except Exception as error:  # whatever it is, it belongs to the one who awaits the answer
            self._hand_over(error)
        finally:
            close = getattr(self._events, "close", None)
            if close is not None:
                close()
            self._hand_over(None)
            self._in_the_loop(self._on_end)

    def _hand_over(self, item: _Item) -> None:
        self._in_the_loop(lambda: self._items.put_nowait(item))

    def _in_the_loop(self, call: Callable[[], None]) -> None:
        # The loop is gone when the server was stopped while this thread waited for its model.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)
