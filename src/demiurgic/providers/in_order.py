"""Many questions at once, answers in the order of the questions. Knows nothing of either."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 16
"""Items waiting per thread: one slow answer at the head does not stop the others."""


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    at_once: int,
    on_stop: Callable[[], None] = lambda: None,
) -> Generator[Result, None, None]:
    """Yield `function(item)` for each item, in order, with `at_once` threads.

    When one raises, or the iterator is closed, no further item is begun, `on_stop` is called, and those under way are
    waited for: they are paid for. Ctrl-C ends that wait too.
    """
    crew = _Crew(function, at_once)
    source = iter(items)
    waiting: deque[Future[Result]] = deque()
    try:
        waiting.extend(crew.begin(item) for item in islice(source, AHEAD * at_once))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(crew.begin(item) for item in islice(source, 1))
    except BaseException:
        for future in waiting:
            future.cancel()
        on_stop()
        raise
    finally:
        crew.dismiss()


class _Crew(Generic[Item, Result]):
    """Threads that do not keep the program from ending, as those of an executor would."""

    def __init__(self, function: Callable[[Item], Result], size: int) -> None:
        self._function = function
        self._tasks: SimpleQueue[tuple[Future[Result], Item] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name="asking", daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    def begin(self, item: Item) -> Future[Result]:
        future: Future[Result] = Future()
        self._tasks.put((future, item))
        return future

    def dismiss(self) -> None:
        """Wait until every item that was begun and not cancelled is done."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, item = task
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = self._function(item)
            except BaseException as error:  # whatever it is: raised where the result is asked for
                future.set_exception(error)
            else:
                future.set_result(result)
