"""Where rows of given lengths go in windows of one length. Knows lengths alone, not what is in the rows."""

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Pieces:
    """P pieces, in the order of the rows and within a row: token `offset` of `row` lies at `start` of `window`."""

    row: "NDArray[np.int64]"
    offset: "NDArray[np.int64]"
    window: "NDArray[np.int64]"
    start: "NDArray[np.int64]"
    end: "NDArray[np.int64]"


def stream(lengths: "NDArray[np.int64]", *, length: int) -> Pieces:
    """Rows end to end, cut wherever a window ends."""
    import numpy as np

    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    begins = np.unique(np.concatenate([ends - lengths, np.arange(0, total, length)]))
    begins = begins[begins < total]
    stops = np.append(begins[1:], total)[: begins.size]
    row = np.searchsorted(ends, begins, side="right")
    window = begins // length
    return Pieces(row, begins - (ends - lengths)[row], window, begins - window * length, stops - window * length)


def fit(lengths: "NDArray[np.int64]", *, length: int) -> Pieces:
    """Whole rows, best-fit decreasing: the longest first, each where it leaves the least room.

    A row longer than a window is cut into full windows and a rest. Windows stand in the order of their first row.
    """
    import numpy as np

    num_pieces = -(-lengths // length)
    row = np.repeat(np.arange(lengths.size), num_pieces)
    number = np.arange(row.size) - np.repeat(np.cumsum(num_pieces) - num_pieces, num_pieces)
    offset = number * length
    sizes = np.minimum(lengths[row] - offset, length)
    window = _best_fit(sizes, length=length)
    start = _starts(window, sizes)
    return Pieces(row, offset, window, start, start + sizes)


def _best_fit(sizes: "NDArray[np.int64]", *, length: int) -> "NDArray[np.int64]":
    """The window of each piece. Equal sizes keep their order, so the result depends on the input alone."""
    import numpy as np

    window = np.zeros(sizes.size, np.int64)
    with_room: dict[int, list[int]] = {}
    rooms: list[int] = []
    num_windows = 0
    for piece in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[piece])
        found = bisect_left(rooms, size)
        if found == len(rooms):
            chosen, room, num_windows = num_windows, length, num_windows + 1
        else:
            room = rooms[found]
            chosen = with_room[room].pop()
            if not with_room[room]:
                del with_room[room], rooms[found]
        window[piece] = chosen
        left = room - size
        if left:
            if left not in with_room:
                with_room[left] = []
                insort(rooms, left)
            with_room[left].append(chosen)
    first = np.full(num_windows, sizes.size)
    np.minimum.at(first, window, np.arange(sizes.size))
    rank = np.empty(num_windows, np.int64)
    rank[np.argsort(first)] = np.arange(num_windows)
    return rank[window]


def _starts(window: "NDArray[np.int64]", sizes: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Where each piece starts in its window, pieces of a window side by side in their order."""
    import numpy as np

    order = np.argsort(window, kind="stable")
    before = np.cumsum(sizes[order]) - sizes[order]
    new_window = np.append(True, window[order][1:] != window[order][:-1])[: order.size]
    window_begin = np.maximum.accumulate(np.where(new_window, before, 0)) if order.size else before
    start = np.empty_like(before)
    start[order] = before - window_begin
    return start
