"""One reading of all documents: their n-grams, some documents at a time, to whatever wants them, on several threads.

Knows nothing of what is done with them. N documents, known ones numbered after them; D documents of one task.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, final

from demiurgic.text.known import Known
from demiurgic.text.ngrams import Shingling

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

TASK_BYTES = 1 << 19
"""Text of one task: its n-grams then stay in the processor's cache."""
KEEP_ROOM_BYTES = 1 << 23
"""Room for longer texts is given back after use."""


class Documents(Protocol):
    """Texts that can be read as often as needed."""

    @property
    def num_documents(self) -> int: ...

    def batches(self) -> "Iterator[pyarrow.Array]":
        """Arrays of strings: all documents, in order, the same at every call."""
        ...


@final
class Room:
    """Where one thread works: as long as the longest task so far. L n-grams."""

    def __init__(self, num_bytes: int) -> None:
        import numpy as np

        from demiurgic.text.kernels.words import room_for
        from demiurgic.text.workspace import zeros

        self.num_bytes = num_bytes
        self.parts = room_for(num_bytes)
        self.hashes_L = zeros(num_bytes + 1, np.uint64)
        self.spare_L = zeros(num_bytes + 1, np.uint64)
        self.more_L = zeros(num_bytes + 1, np.uint64)
        self.ends_L = zeros(2 * num_bytes + 64, np.int32)


@dataclass(frozen=True)
class Task:
    """The n-grams of documents from `first` on: those of the d-th are `hashes_S[starts_D1[d]:starts_D1[d + 1]]`.

    With repeats; in room that is the task's to use and overwrite. `room.hashes_L` holds `hashes_S`.
    """

    first: int
    starts_D1: "np.ndarray[Any, np.dtype[np.int64]]"
    room: Room

    @property
    def num_documents(self) -> int:
        return len(self.starts_D1) - 1

    @property
    def hashes_S(self) -> "np.ndarray[Any, np.dtype[np.uint64]]":
        return self.room.hashes_L[: self.starts_D1[-1]]


@final
class Reader:
    """Reads documents, and after them known ones, as n-grams; as often as asked.

    `wanted_N` leaves documents out: they have no n-grams. `common_C` are n-grams that do not count.
    """

    def __init__(self, documents: Documents, *, shingling: Shingling, known: Known | None, threads: int) -> None:
        import numpy as np

        self.documents = documents
        self.shingling = shingling
        self.known = known
        self.threads = threads
        self.num_documents = documents.num_documents
        self.num_known = len(known) if known else 0
        self.common_table = np.zeros(1, np.uint64)
        self._rooms: list[Room] = []
        self._lock = threading.Lock()

    def leave_out(self, common_C: "np.ndarray[Any, np.dtype[np.uint64]]") -> None:
        """From now on leave out these n-grams."""
        import numpy as np

        from demiurgic.text.kernels.sets import make_set

        if len(common_C):
            self.common_table = np.zeros(1 << int(2 * len(common_C)).bit_length(), np.uint64)
            make_set(np.ascontiguousarray(common_C, np.uint64), self.common_table)

    def num_bytes(self) -> int:
        """Bytes of all texts: a reading that looks at none of them."""
        return sum(_texts_bytes(array) for array in self.documents.batches())

    def read(
        self,
        work: Callable[[Task], None],
        *,
        wanted_N: "np.ndarray[Any, np.dtype[np.bool_]]",
        on_documents: Callable[[int], None] | None = None,
    ) -> None:
        """Call `work` with every task: from several threads, in no order."""
        with ThreadPoolExecutor(self.threads) as pool:
            waiting: deque[tuple[int, Future[None]]] = deque()
            try:
                for stop, task in self._tasks(wanted_N, work):
                    waiting.append((stop, pool.submit(task)))
                    while len(waiting) > 2 * self.threads:
                        _finish(waiting.popleft(), on_documents)
                while waiting:
                    _finish(waiting.popleft(), on_documents)
            finally:
                for _, future in waiting:
                    future.cancel()

    def _tasks(
        self, wanted_N: "np.ndarray[Any, np.dtype[np.bool_]]", work: Callable[[Task], None]
    ) -> Iterator[tuple[int, Callable[[], None]]]:
        import numpy as np

        from demiurgic.text.utf8 import Texts

        first = 0
        for array in self.documents.batches():
            if first + len(array) > self.num_documents:
                raise self._miscounted("more")
            texts = Texts.of(array)
            for start, stop in _pieces(texts.offsets_N1):
                if wanted_N[first + start : first + stop].any():
                    offsets = np.array(texts.offsets_N1[start : stop + 1])
                    wanted = wanted_N[first + start : first + stop]
                    yield first + stop, self._of_texts(first + start, texts.bytes_B, offsets, wanted, work)
            first += len(array)
        if first < self.num_documents:
            raise self._miscounted(f"{first}")
        if self.known is not None:
            for start, stop in _pieces(self.known.offsets_K1):
                yield self.num_documents + stop, self._of_known(start, stop, wanted_N, work)

    def _miscounted(self, came: str) -> ValueError:
        return ValueError(f"{self.num_documents} documents were announced, and {came} came")

    def _of_texts(
        self, first: int, bytes_B: Any, offsets: Any, wanted: Any, work: Callable[[Task], None]
    ) -> Callable[[], None]:
        import numpy as np

        from demiurgic.text.kernels.ngrams import ngrams_of_all
        from demiurgic.text.letters import letters

        # Arrow's buffers may or may not be writable; of one kind they are compiled for once.
        bytes_B = bytes_B.view()
        bytes_B.flags.writeable = False

        def task() -> None:
            room = self._take_room(int(offsets[-1] - offsets[0]))
            starts = np.zeros(len(offsets), np.int64)
            by_character = self.shingling.unit == "character"
            ngrams_of_all(
                *(bytes_B, offsets, np.array(wanted), letters(), room.parts, by_character, self.shingling.n),
                *(self.common_table, room.hashes_L, starts),
            )
            work(Task(first, starts, room))
            self._give_room(room)

        return task

    def _of_known(self, start: int, stop: int, wanted_N: Any, work: Callable[[Task], None]) -> Callable[[], None]:
        import numpy as np

        from demiurgic.text.kernels.ngrams import known_without_common

        def task() -> None:
            assert self.known is not None
            offsets = np.array(self.known.offsets_K1[start : stop + 1])
            room = self._take_room(int(offsets[-1] - offsets[0]))
            room.hashes_L[: offsets[-1] - offsets[0]] = self.known.hashes_H[offsets[0] : offsets[-1]]
            starts = np.zeros(len(offsets), np.int64)
            wanted = np.array(wanted_N[self.num_documents + start : self.num_documents + stop])
            known_without_common(room.hashes_L, offsets - offsets[0], wanted, self.common_table, starts)
            work(Task(self.num_documents + start, starts, room))
            self._give_room(room)

        return task

    def _take_room(self, num_bytes: int) -> Room:
        with self._lock:
            if self._rooms and self._rooms[-1].num_bytes >= num_bytes:
                return self._rooms.pop()
        return Room(max(num_bytes, TASK_BYTES + (TASK_BYTES >> 1)))

    def _give_room(self, room: Room) -> None:
        if room.num_bytes <= KEEP_ROOM_BYTES:
            with self._lock:
                self._rooms.append(room)


def _finish(waiting: "tuple[int, Future[None]]", on_documents: Callable[[int], None] | None) -> None:
    stop, future = waiting
    future.result()
    if on_documents is not None:
        on_documents(stop)


def _pieces(offsets: "np.ndarray[Any, np.dtype[np.int64]]") -> Iterator[tuple[int, int]]:
    """Runs of texts of about `TASK_BYTES`, at least one text each."""
    import numpy as np

    start, last = 0, len(offsets) - 1
    while start < last:
        stop = int(np.searchsorted(offsets, offsets[start] + TASK_BYTES, "right")) - 1
        stop = min(max(stop, start + 1), start + TASK_BYTES // 16, last)
        yield start, stop
        start = stop


def _texts_bytes(array: "pyarrow.Array") -> int:
    from demiurgic.text.utf8 import Texts

    return Texts.of(array).num_bytes
