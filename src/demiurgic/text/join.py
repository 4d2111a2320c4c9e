"""Running the join (`kernels/join.py`) over sets in the order they are taken: blocks, threads, the index.

Knows nothing of documents. U sets, in the order they are taken; Q places of the table of marks, I entries.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from demiurgic.text.kernels.join import Index, Sets

BLOCK = 4096
PIECE = 256
"""Sets compared by one thread at a time."""


@dataclass(frozen=True)
class Joined:
    """Of each set the one that stays and is most similar (-1: it stays itself), and how similar."""

    best_U: "np.ndarray[Any, np.dtype[np.int32]]"
    similarity_U: "np.ndarray[Any, np.dtype[np.float64]]"
    num_verified: int
    num_capped: int


def join(
    sets: "Sets",
    order_U: "np.ndarray[Any, np.dtype[np.int64]]",
    *,
    always: int,
    threshold: float,
    marks_in_order: bool,
    leaders: int,
    workspace: Workspace,
    threads: int,
    on_sets: Callable[[int], None] | None = None,
) -> Joined:
    """Take the sets in order; the first `always` stay in any case.

    `marks_in_order`: the marks are the first members of each set, which rise. `leaders`: at most so many sets that stay
    are entered under one mark (0: all).
    """
    import numpy as np

    from demiurgic.text.kernels.join import NONE, Best, Spare, compare_with_index, take_block

    num = len(order_U)
    index = _empty_index(int(sets.num_marks_U.sum(dtype=np.int64)), workspace)
    ranks_U = np.empty(num, np.int32)
    ranks_U[order_U] = np.arange(num, dtype=np.int32)
    best = Best(np.full(num, NONE, np.int32), np.zeros(num), ranks_U)
    spares = [Spare(*(workspace.array("spare", num, np.int32) for _ in range(4))) for _ in range(threads + 1)]
    for spare in spares:
        spare.met_U[:] = NONE
    num_entries = num_verified = num_capped = 0

    with ThreadPoolExecutor(threads) as pool:
        free = list(spares[1:])

        def compare(piece: Any) -> int:
            spare = free.pop()
            found: int = compare_with_index(piece, sets, index, 0, threshold, marks_in_order, best, spare)
            free.append(spare)
            return found

        # One thread gains nothing by comparing with the index first: all is one block.
        size = BLOCK if threads > 1 else num
        for start in range(0, num, size or 1):
            block = order_U[start : start + size]
            stay = min(max(always - start, 0), len(block))
            asked = block[stay:] if threads > 1 else block[:0]
            num_verified += sum(pool.map(compare, [asked[at : at + PIECE] for at in range(0, len(asked), PIECE)]))
            num_entries, more, capped = take_block(
                *(block, stay, sets, index, num_entries, leaders, threshold, marks_in_order, best, spares[0])
            )
            num_verified += more
            num_capped += capped
            if on_sets is not None:
                on_sets(start + len(block))
    workspace.release(*index, *(array for spare in spares for array in spare))
    return Joined(best.sets_U, best.similarities_U, num_verified, num_capped)


def _empty_index(num_marks: int, workspace: Workspace) -> "Index":
    import numpy as np

    from demiurgic.text.kernels.join import NONE, Index

    if num_marks >= 1 << 31:
        raise UserError(
            f"These documents have {num_marks:,} n-grams to be found by, and one join can hold {1 << 31:,}. Use "
            "`method: minhash`, or a higher threshold."
        )
    places = 1 << max(4, (2 * num_marks).bit_length())
    index = Index(
        workspace.array("marks", places, np.uint64),
        *(workspace.array("index", size, np.int32) for size in (places, places, num_marks, num_marks, num_marks)),
    )
    index.heads_Q[:] = NONE
    return index
