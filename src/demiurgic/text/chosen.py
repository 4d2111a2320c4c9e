"""The documents that can have a partner, as sets of hashes; equal sets are kept once, whoever has them.

Knows nothing of how they were chosen or are compared. U sets, S hashes of all together, M documents and known ones.
"""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from demiurgic.text.passes import Task
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from demiurgic.text.kernels.join import Sets

FIRST_HASHES = 1 << 20
NO_SET = -1


@dataclass(frozen=True)
class Marks:
    """What sets are looked for by: those of set u are `marks_M[starts_U1[u]:starts_U1[u + 1]]`."""

    marks_M: "np.ndarray[Any, np.dtype[np.uint64]]"
    starts_U1: "np.ndarray[Any, np.dtype[np.int64]]"


@final
class Chosen:
    """Takes what tasks chose, from any thread. Two documents have one set if 128 bits over all its members are equal.

    The numbers of sets depend on which task comes first, and nothing else does.
    """

    def __init__(self, num_documents: int, most: int, *, most_hashes: int = FIRST_HASHES, workspace: Workspace) -> None:
        """At most `most` of M documents are chosen; with at most `most_hashes`, or else room for them grows."""
        import numpy as np

        self.workspace = workspace
        self.num_sets = 0
        self.num_hashes = 0
        self.num_documents = 0
        self.members_S = workspace.array("members", most_hashes, np.uint64)
        self.set_of_M = workspace.array("set-of", num_documents, np.int32)
        self.set_of_M[:] = NO_SET
        self._starts_U = workspace.array("starts", most, np.int64)
        self._lengths_U = workspace.array("lengths", most, np.int32)
        self._about_U3 = workspace.array("about", (most, 3), np.int32)
        self._hashes_U2 = workspace.array("set-hashes", (most, 2), np.uint64)
        self._slots = workspace.array("slots", 1 << (2 * most).bit_length(), np.int32)
        self._slots[:] = NO_SET
        self._sketches_U8: Any = None
        self._lock = threading.Lock()

    def add(self, task: Task, about_D4: Any, set_hash_D2: Any, kept_S: Any) -> None:
        """What `kernels/select.py` wrote of a task's documents."""
        import numpy as np

        from demiurgic.text.kernels.select import settle

        is_new_D = np.zeros(task.num_documents, np.bool_)
        stops_D = about_D4[:, 0]
        lengths_D = np.diff(stops_D, prepend=0)
        with self._lock:
            before = self.num_sets
            self.num_documents += int((about_D4[:, 1] > 0).sum())
            self.num_sets = settle(
                *(about_D4, set_hash_D2, task.first, before, self._slots, self._hashes_U2, self.set_of_M, is_new_D)
            )
            new = slice(before, self.num_sets)
            self._lengths_U[new] = lengths_D[is_new_D]
            self._about_U3[new] = about_D4[is_new_D, 1:]
            self._starts_U[new] = self.num_hashes + np.cumsum(lengths_D[is_new_D]) - lengths_D[is_new_D]
            kept = kept_S[: stops_D[-1]]
            self._keep(kept if lengths_D[~is_new_D].sum() == 0 else kept[np.repeat(is_new_D, lengths_D)])

    def _keep(self, hashes: Any) -> None:
        end = self.num_hashes + len(hashes)
        self.members_S = self.workspace.grown(self.members_S, end, name="members")
        self.members_S[self.num_hashes : end] = hashes
        self.num_hashes = end

    def rare_sets(self) -> "Sets":
        """With their rarest members as marks."""
        import numpy as np

        from demiurgic.text.kernels.join import Sets

        used = slice(self.num_sets)
        sizes, marks = (np.ascontiguousarray(self._about_U3[used, column]) for column in (0, 1))
        starts = self._starts_U[used]
        no_sketches = np.zeros((0, 8), np.uint64)
        return Sets(self.members_S, starts, self._lengths_U[used], sizes, self.members_S, starts, marks, no_sketches)

    def marked_sets(self, marks: Marks) -> "Sets":
        import numpy as np

        from demiurgic.text.kernels.join import Sets, sketch

        used = slice(self.num_sets)
        sizes = np.ascontiguousarray(self._about_U3[used, 0])
        self._sketches_U8 = self.workspace.array("sketches", (self.num_sets, 8), np.uint64)
        sketch(self.members_S, self._starts_U[used], self._lengths_U[used], self._sketches_U8)
        starts, num_marks = marks.starts_U1[:-1], np.diff(marks.starts_U1).astype(np.int32)
        return Sets(
            *(self.members_S, self._starts_U[used], self._lengths_U[used], sizes),
            *(marks.marks_M, starts, num_marks, self._sketches_U8),
        )

    def release(self) -> None:
        self.workspace.release(
            *(
                self.members_S,
                self.set_of_M,
                self._starts_U,
                self._lengths_U,
                self._about_U3,
                self._hashes_U2,
                self._slots,
                *([] if self._sketches_U8 is None else [self._sketches_U8]),
            )
        )
