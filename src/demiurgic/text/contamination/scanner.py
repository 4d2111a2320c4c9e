"""Looks for the items of an index in texts. Knows no rows. N texts, H texts that hold an item."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from demiurgic.text.contamination.index import Index
from demiurgic.text.contamination.item import Item
from demiurgic.text.contamination.taken import symbol_table
from demiurgic.text.letters import letters
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np

How = Literal["exact", "whole", "fuzzy"]
HOW: tuple[How, ...] = ("exact", "whole", "fuzzy")
"""The ways to hold an item, in the order they are tried; see the package's own page."""


@dataclass(frozen=True)
class Hit:
    """A text that holds an item; `coverage` is the share of the item that was found."""

    text: int
    item: Item
    how: How
    coverage: float
    matched: str
    """From the first matched word to the last, as they stand in the item."""
    start_byte: int
    """Where the match begins in the text, and where it ends."""
    stop_byte: int

    @property
    def evidence(self) -> str:
        """Where it stands, and no more of the question than a few words: evidence is read, and may be shown."""
        where = f"bytes {self.start_byte} to {self.stop_byte}"
        return (
            f"{self.item.benchmark} {self.item.name}, {self.how}, coverage {self.coverage:.2f}, {where}: "
            f"{_short(self.matched)}"
        )


@dataclass(frozen=True)
class Hits:
    """What was found, in order of the texts; at most one item per text, the one found best."""

    texts_H: "np.ndarray[Any, np.dtype[np.int64]]"
    items_H: "np.ndarray[Any, np.dtype[np.int32]]"
    how_H: "np.ndarray[Any, np.dtype[np.int8]]"
    coverage_H: "np.ndarray[Any, np.dtype[np.float32]]"
    spans_H4: "np.ndarray[Any, np.dtype[np.int32]]"
    """First and last word of the item, first byte in the text and the byte after the last."""
    index: Index

    def __len__(self) -> int:
        return len(self.texts_H)

    def __getitem__(self, place: int) -> Hit:
        if not 0 <= place < len(self):
            raise IndexError(place)
        item = int(self.items_H[place])
        first, last, start, stop = (int(number) for number in self.spans_H4[place])
        return Hit(
            text=int(self.texts_H[place]),
            item=self.index.items[item],
            how=HOW[self.how_H[place]],
            coverage=float(self.coverage_H[place]),
            matched=self.index.text_of(item, first, last),
            start_byte=start,
            stop_byte=stop,
        )


@final
class Scanner:
    """An index with the bars above which a text counts as holding an item.

    `coverage` is for exact n-grams, `fuzzy` for changed items (None: those are not looked for); both are shares of an
    item's words. Threads may share one, and wait for one another.
    """

    def __init__(self, index: Index, *, coverage: float = 0.5, fuzzy: float | None = 0.7) -> None:
        self.index = index
        self.coverage = coverage
        self.fuzzy = fuzzy
        self._lock = threading.Lock()
        self._longest_bytes = -1

    def scan(self, texts: "Texts | Sequence[str]") -> Hits:
        """The texts that hold an item, with the item of each."""
        import numpy as np

        from demiurgic.text.kernels.contamination import scan
        from demiurgic.text.kernels.contamination_screen import may_hold

        given = texts if isinstance(texts, Texts) else Texts.of(texts)
        item_N, how_N = np.empty(len(given), np.int32), np.zeros(len(given), np.int8)
        ways_N = np.zeros(len(given), np.uint8)
        coverage_N, span_N4 = np.zeros(len(given), np.float32), np.zeros((len(given), 4), np.int32)
        index = self.index
        with self._lock:
            self._make_room(given.longest_bytes)
            common = (letters(), self._room, np.zeros(1, np.uint64))
            tables = (index.n, index.exact, index.whole, index.fuzzy)
            may_hold(given.bytes_B, given.offsets_N1, *common, *tables, self._scratch, ways_N)
            scan(
                *(given.bytes_B, given.offsets_N1, ways_N, *common, symbol_table(), *tables, index.arrays),
                *(float(self.coverage), float(self.fuzzy or 0.0), self._scratch, item_N, how_N, coverage_N, span_N4),
            )
        texts_H = np.flatnonzero(item_N >= 0)
        return Hits(texts_H, item_N[texts_H], how_N[texts_H], coverage_N[texts_H], span_N4[texts_H], index)

    def ask(self, text: str) -> Hit | None:
        """What one text holds: cheap enough to ask before each question that is paid for."""
        hits = self.scan([text])
        return hits[0] if len(hits) else None

    def _make_room(self, longest_bytes: int) -> None:
        if longest_bytes <= self._longest_bytes:
            return
        from demiurgic.text.kernels.words import room_for

        # Twice as much as is needed, so that rising lengths do not cost a new room each.
        self._longest_bytes = max(2 * longest_bytes, 1 << 16)
        self._room = room_for(self._longest_bytes)
        self._scratch = _scratch_for(self.index, self._longest_bytes)


def _scratch_for(index: Index, longest_bytes: int) -> Any:
    import numpy as np

    from demiurgic.text.kernels.items import Scratch

    num_items, num_words = len(index.items), len(index.arrays.words_W)
    longest_item = int(np.diff(index.arrays.starts_Q1).max())
    window = 1 << (4 * longest_item + 64).bit_length()
    arrays: list[Any] = [
        *(np.zeros(longest_bytes + 66, np.uint64) for _ in range(4)),
        *(np.zeros(longest_bytes + 66, np.int64), np.zeros(longest_bytes + 66, np.int64)),
        *(np.zeros(num_items, np.int64), np.zeros(num_items, np.int64), np.zeros(num_items, np.int32)),
        np.zeros(num_words, np.int64),
        *(np.zeros(num_items, np.int64) for _ in range(3)),
        *(np.zeros(window, np.uint64), np.zeros(window, np.int64), np.zeros(2, np.int64)),
    ]
    return Scratch(*arrays)


def _short(text: str, limit: int = 60) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"
