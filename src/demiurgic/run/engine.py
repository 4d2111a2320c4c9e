"""Row-wise work on all cores of this machine: a function over items, in order, in worker processes.

A later engine runs the same calls on a cluster; callers see no difference.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from demiurgic.core.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Cores this process may use (not those of the machine)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Engine:
    """Runs functions over items in `workers` processes; with one worker, in this process."""

    workers: int = 0
    """0: one per usable core."""

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, worth_processes: bool = True
    ) -> Iterator[Result]:
        """Yield `function(item)` for each item, in order. The function and items must be picklable.

        `worth_processes=False` says the items are too few to pay for starting processes.
        """
        workers = self.workers or usable_cores()
        if workers == 1 or not worth_processes:
            yield from map(function, items)
            return
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool

        # spawn, not fork: this process may hold torch's threads, and a forked copy of a held lock never opens.
        pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_follow_the_parent
        )
        try:
            source = iter(items)
            running = [pool.submit(function, item) for item in islice(source, 4 * workers)]
            while running:
                yield running.pop(0).result()
                running.extend(pool.submit(function, item) for item in islice(source, 1))
        except BrokenProcessPool:
            raise UserError(
                "A worker process was killed, most likely because memory ran out. Try again with --workers 1."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _follow_the_parent() -> None:
    """Ctrl-C goes to the whole process group, and the parent alone decides what it means; when it dies, so do we."""
    import multiprocessing
    import signal
    import threading
    from multiprocessing.connection import wait

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=lambda: (wait([sentinel]), os._exit(1)), daemon=True).start()


def batches(items: Iterable[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut an iterable into lists of `size`, the last one shorter."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
