"""Items taken apart into words and symbols. Knows nothing of n-grams. Q items, W words of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from demiurgic.text.letters import letters
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np

SYMBOLS = b"()[]{}<>+*/=^%$#&|~\\@"
"""What is read beside words in an item that must stand whole. Punctuation and hyphens vary too much between copies."""
OTHER = bytes(byte for byte in range(256) if byte not in SYMBOLS)


@dataclass(frozen=True)
class Taken:
    """Word w is a word of item `item_W[w]`; `blind_W` are the words with every number as one."""

    starts_Q1: "np.ndarray[Any, np.dtype[np.int64]]"
    words_W: "np.ndarray[Any, np.dtype[np.uint64]]"
    blind_W: "np.ndarray[Any, np.dtype[np.uint64]]"
    spans_W2: "np.ndarray[Any, np.dtype[np.int32]]"
    """Its first byte in the item's text, and the byte after its last."""
    inner_Q: "np.ndarray[Any, np.dtype[np.uint64]]"
    """A hash of the symbols between the words."""
    outer_Q: tuple[tuple[bytes, bytes], ...]
    """The symbols before the first word, and after the last."""

    def __len__(self) -> int:
        return len(self.starts_Q1) - 1

    @cached_property
    def lengths_Q(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Words of each item."""
        import numpy as np

        return np.diff(self.starts_Q1)

    @cached_property
    def item_W(self) -> "np.ndarray[Any, np.dtype[np.int32]]":
        import numpy as np

        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths_Q)

    @cached_property
    def is_first_Q(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which items say what no item before them says, in words and symbols."""
        import numpy as np

        seen: set[tuple[bytes, int, bytes, bytes]] = set()
        first_Q = np.zeros(len(self), np.bool_)
        for item in range(len(self)):
            said = self.words_W[self.starts_Q1[item] : self.starts_Q1[item + 1]].tobytes()
            identity = (said, int(self.inner_Q[item]), *self.outer_Q[item])
            first_Q[item] = identity not in seen
            seen.add(identity)
        return first_Q

    def where(self, chosen_Q: "np.ndarray[Any, np.dtype[np.bool_]]") -> "Taken":
        """The items for which `chosen_Q` is true."""
        import numpy as np

        chosen_W = chosen_Q[self.item_W]
        return Taken(
            np.concatenate(([0], np.cumsum(self.lengths_Q[chosen_Q]))),
            self.words_W[chosen_W],
            self.blind_W[chosen_W],
            self.spans_W2[chosen_W],
            self.inner_Q[chosen_Q],
            tuple(sides for sides, chosen in zip(self.outer_Q, chosen_Q, strict=True) if chosen),
        )


def take_apart(texts: Sequence[str]) -> Taken:
    """The words and symbols of some texts."""
    import numpy as np

    from demiurgic.text.kernels.items import symbols_of, words_of_items
    from demiurgic.text.kernels.words import room_for

    given = Texts.of(texts)
    room, most = room_for(given.longest_bytes), given.num_bytes + 1
    words_W, blind_W = np.empty(most, np.uint64), np.empty(most, np.uint64)
    starts_W, stops_W = np.empty(most, np.int32), np.empty(most, np.int32)
    starts_Q1 = np.zeros(len(given) + 1, np.int64)
    words_of_items(
        given.bytes_B,
        given.offsets_N1,
        letters(),
        room,
        np.zeros(1, np.uint64),
        words_W,
        blind_W,
        starts_W,
        stops_W,
        starts_Q1,
    )
    kept, inner_Q, outer_Q = symbol_table(), np.zeros(len(given), np.uint64), []
    for item in range(len(given)):
        said = given[item]
        text = np.frombuffer(said or b" ", np.uint8)
        first, last = starts_Q1[item], starts_Q1[item + 1]
        inner_Q[item] = symbols_of(text, starts_W[first:last], stops_W[first:last], 0, last - first - 1, kept)
        before, after = (0, len(text)) if first == last else (starts_W[first], stops_W[last - 1])
        outer_Q.append((_symbols(said[:before]), _symbols(said[after:])))
    total = int(starts_Q1[-1])
    spans_W2 = np.stack((starts_W[:total], stops_W[:total]), axis=1)
    return Taken(starts_Q1, words_W[:total].copy(), blind_W[:total].copy(), spans_W2, inner_Q, tuple(outer_Q))


def symbol_table() -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """For each byte whether it is one of `SYMBOLS`."""
    import numpy as np

    table = np.zeros(256, np.bool_)
    table[np.frombuffer(SYMBOLS, np.uint8)] = True
    return table


def _symbols(text: bytes) -> bytes:
    return text.translate(None, OTHER)
