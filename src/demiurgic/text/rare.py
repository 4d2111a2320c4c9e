"""Choosing for the exact join: two readings, one to count n-grams, one to keep those documents that can have a partner.

Also the n-grams that stand in too many documents to count. M documents, known ones last; F counters; D of one task.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.text.chosen import Chosen
from demiurgic.text.passes import Reader, Task
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

BYTES_PER_COUNTER = {"word": 3, "character": 2}
"""About two counters for each n-gram of the text."""
FEWEST_BITS, MOST_BITS = 16, 30
"""A gigabyte of counters at most. Too few make it slower, never wrong; how many depends on the texts alone and not on
memory, so that two runs look at the same pairs."""

OnDocuments = Callable[[int], None]


@dataclass(frozen=True)
class Counters:
    """`counters_F[hash >> shift]` is at least the number of places that have an n-gram, up to 255."""

    counters_F: "np.ndarray[Any, np.dtype[np.uint8]]"
    shift: "np.uint64"


def count_ngrams(
    reader: Reader, *, wanted_M: Any, workspace: Workspace, on_documents: OnDocuments | None = None
) -> Counters:
    """Count every n-gram of the wanted documents."""
    import numpy as np

    from demiurgic.text.kernels.frequency import NUM_PARTS, by_part, count

    bits = _num_bits(reader)
    counters = Counters(workspace.array("counters", 1 << bits, np.uint8), np.uint64(64 - bits))
    locks = [threading.Lock() for _ in range(NUM_PARTS)]

    def work(task: Task) -> None:
        starts = by_part(task.hashes_S, task.room.spare_L)
        # Threads begin at different parts, so that they seldom wait for one another.
        for turn in range(NUM_PARTS):
            part = (turn + task.first) % NUM_PARTS
            with locks[part]:
                count(task.room.spare_L[starts[part] : starts[part + 1]], counters.counters_F, counters.shift)

    reader.read(work, wanted_N=wanted_M, on_documents=on_documents)
    return counters


def _num_bits(reader: Reader) -> int:
    known = len(reader.known.hashes_H) if reader.known else 0
    wanted = reader.num_bytes() // BYTES_PER_COUNTER[reader.shingling.unit] + 2 * known
    return max(FEWEST_BITS, min(wanted.bit_length(), MOST_BITS))


def common_ngrams(reader: Reader, above: int, *, wanted_M: Any, workspace: Workspace) -> Any:
    """The n-grams that more than `above` documents have, rising. A reading more: counters only say which may be."""
    import numpy as np

    from demiurgic.text.kernels.frequency import keep_frequent
    from demiurgic.text.kernels.sets import sort_distinct

    counters = count_ngrams(reader, wanted_M=wanted_M, workspace=workspace)
    tally = Tally()

    def work(task: Task) -> None:
        found = []
        for start, stop in zip(task.starts_D1, task.starts_D1[1:], strict=False):
            hashes = task.hashes_S[start:stop]
            kept = keep_frequent(hashes, counters.counters_F, counters.shift, min(above, 254))
            found.append(hashes[: sort_distinct(hashes, kept, task.room.spare_L, task.room.ends_L)])
        tally.add(np.concatenate(found))

    reader.read(work, wanted_N=wanted_M)
    workspace.release(counters.counters_F)
    return tally.above(above)


class Tally:
    """How often each of some numbers was added, exactly; from any thread."""

    def __init__(self) -> None:
        import numpy as np

        self._keys_C = np.zeros(1 << 16, np.uint64)
        self._counts_C = np.zeros(1 << 16, np.int64)
        self._num_filled = 0
        self._lock = threading.Lock()

    def add(self, numbers: Any) -> None:
        import numpy as np

        from demiurgic.text.kernels.frequency import tally

        with self._lock:
            while 2 * (self._num_filled + len(numbers)) > len(self._keys_C):
                keys, counts = self._keys_C, self._counts_C
                self._keys_C = np.zeros(2 * len(keys), np.uint64)
                self._counts_C = np.zeros(2 * len(keys), np.int64)
                tally(keys[keys != 0], counts[keys != 0], self._keys_C, self._counts_C)
            ones = np.ones(len(numbers), np.int64)
            self._num_filled += tally(np.ascontiguousarray(numbers), ones, self._keys_C, self._counts_C)

    def above(self, least: int) -> Any:
        import numpy as np

        return np.sort(self._keys_C[self._counts_C > least])


def choose_rare(
    reader: Reader,
    counters: Counters,
    *,
    threshold: float,
    wanted_M: Any,
    workspace: Workspace,
    on_documents: OnDocuments | None = None,
) -> Chosen:
    """Keep of each document that can have a partner the n-grams that others have too."""
    import numpy as np

    from demiurgic.text.kernels.select import rarity_classes, select_rare

    num = reader.num_documents + reader.num_known
    chosen = Chosen(num, int(wanted_M.sum()), workspace=workspace)
    classes = rarity_classes()

    def work(task: Task) -> None:
        about_D4 = np.zeros((task.num_documents, 4), np.int64)
        set_hash_D2 = np.zeros((task.num_documents, 2), np.uint64)
        room = task.room
        select_rare(
            *(task.hashes_S, task.starts_D1, threshold, counters.counters_F, counters.shift, classes),
            *(room.spare_L, room.ends_L, room.more_L, about_D4, set_hash_D2),
        )
        chosen.add(task, about_D4, set_hash_D2, room.more_L)

    reader.read(work, wanted_N=wanted_M, on_documents=on_documents)
    return chosen
