"""Questions taken apart into words and symbols, and what a thread writes down while it looks for them in texts.

Legend: B bytes, T words of the text at hand, Q items, W words of all items one after the other, C slots of a table.
"""

from typing import Any, NamedTuple

import numpy as np

from demiurgic.text.kernels.compiled import compiled
from demiurgic.text.kernels.gram_table import Array
from demiurgic.text.kernels.ngrams import STEP, finish, ngrams

NUMBER = np.uint64(0x2545F4914F6CDD1D)
"""Stands for every word that begins with a digit where numbers count as one."""


class Items(NamedTuple):
    """The items themselves. `trigrams_W` begin at each word; `counts` says which do. Symbols: `symbols_of`."""

    starts_Q1: Array
    words_W: Array
    trigrams_W: Array
    counts_W: Array
    distinct_Q: Array
    fuzzy_distinct_Q: Array
    least_Q: Array
    inner_Q: Array
    outer_B: Array
    outer_Q3: Array


class Scratch(NamedTuple):
    """What one thread writes down of the text at hand; marked with the text's number, so that nothing is cleared."""

    words_T: Array
    blind_T: Array
    grams_T: Array
    other_T: Array
    places_T: Array
    text_T: Array
    seen_Q: Array
    covered_Q: Array
    touched_Q: Array
    marked_W: Array
    fuzzy_seen_Q: Array
    fuzzy_near_Q: Array
    fuzzy_count_Q: Array
    window_C: Array
    window_mark_C: Array
    mark: Array


@compiled
def words_of_items(
    bytes_B: Any,
    offsets_Q1: Any,
    letters: Any,
    room: Any,
    none_C: Any,
    words_W: Any,
    blind_W: Any,
    starts_W: Any,
    stops_W: Any,
    firsts_Q1: Any,
) -> Any:
    """Take all items apart: their words' hashes, the same with numbers alike, and their places in bytes."""
    total = np.int64(0)
    for item in range(len(offsets_Q1) - 1):
        start = offsets_Q1[item]
        count = ngrams(bytes_B, start, offsets_Q1[item + 1], letters, room, False, 1, none_C, words_W[total:])
        blind(words_W[total:], room, count, blind_W[total:])
        for word in range(count):
            starts_W[total + word] = room.starts_T[word]
            stops_W[total + word] = room.stops_T[word]
        total += count
        firsts_Q1[item + 1] = total


@compiled
def blind(words_T: Any, room: Any, count: Any, blind_T: Any) -> Any:
    """The words, with every number as one."""
    for word in range(count):
        first = room.small_B[room.starts_T[word]]
        blind_T[word] = NUMBER if (first >= 48) & (first <= 57) else words_T[word]


@compiled
def symbols_of(bytes_B: Any, starts_T: Any, stops_T: Any, first: Any, last: Any, kept: Any) -> Any:
    """A hash of the kept symbols between words `first` and `last` and of the places they stand in."""
    hashed = np.uint64(0)
    for word in range(first + 1, last + 1):
        for byte in range(stops_T[word - 1], starts_T[word]):
            if kept[bytes_B[byte]]:
                hashed = finish((hashed + np.uint64(word - first)) * STEP + np.uint64(bytes_B[byte]))
    return hashed
