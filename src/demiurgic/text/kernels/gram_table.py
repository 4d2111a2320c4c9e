"""n-grams of words as hashes, and a table that finds where they stand.

Legend: T words of a text, K distinct n-grams, P places where they stand, C slots of a table.
"""

from typing import Any, NamedTuple

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.ngrams import HALF, STEP, finish

Array = np.ndarray[Any, np.dtype[Any]]
LOW_6, SIX, TWELVE = np.uint64(63), np.uint64(6), np.uint64(12)
SLOT_SHIFT = np.uint64(24)
ONE = np.uint64(1)


class Table(NamedTuple):
    """Where n-grams stand: key k at places `starts_K1[k]` to `starts_K1[k + 1]` of `items_P` and `words_P`."""

    bits_C: Array
    slots_C: Array
    keys_K: Array
    starts_K1: Array
    items_P: Array
    words_P: Array


@compiled
def join_words(words_T: Any, count: Any, n: Any, grams_T: Any, other_T: Any) -> Any:
    """Write the hash of each n-gram into `grams_T`; how many. Doubles n-grams: 8 takes three passes, not seven."""
    found = count - n + 1
    if found <= 0:
        return 0
    top = 1
    while top * 2 <= n:
        top *= 2
    have = words_T
    spare, other = grams_T, other_T
    length, power = 1, STEP
    while top > 1:
        top //= 2
        for place in range(count - 2 * length + 1):
            spare[place] = have[place] * power + have[place + length]
        have, spare, other = spare, other, spare
        length, power = 2 * length, power * power
        if n & top:
            for place in range(count - length):
                spare[place] = have[place] * STEP + words_T[place + length]
            have, spare, other = spare, other, spare
            length, power = length + 1, power * STEP
    for place in range(found):
        grams_T[place] = finish(have[place])
    return found


@inlined
def _bits(key: Any) -> Any:
    """The three bits of a word of the screen that a key sets; the word is named by other bits of the key."""
    return (ONE << (key & LOW_6)) | (ONE << ((key >> SIX) & LOW_6)) | (ONE << ((key >> TWELVE) & LOW_6))


@compiled
def fill_table(keys_K: Any, bits_C: Any, slots_C: Any) -> Any:
    """Enter sorted distinct keys into an empty table (slots of -1); lengths are powers of two."""
    bits_mask = np.uint64(len(bits_C) - 1)
    mask = np.int64(len(slots_C) - 1)
    for index in range(len(keys_K)):
        key = keys_K[index]
        bits_C[np.int64((key >> HALF) & bits_mask)] |= _bits(key)
        slot = np.int64(key >> SLOT_SHIFT) & mask
        while slots_C[slot] >= 0:
            slot = (slot + 1) & mask
        slots_C[slot] = index


@compiled
def screen(table: Any, grams_T: Any, count: Any, places_T: Any) -> Any:
    """Write the places of the n-grams that may be in the table; how many. One in some hundred is there for nothing.

    Without a branch, so that the processor waits for many words of the screen at once.
    """
    mask = np.uint64(len(table.bits_C) - 1)
    found = np.int64(0)
    for place in range(count):
        bits = _bits(grams_T[place])
        places_T[found] = place
        found += np.int64(table.bits_C[np.int64((grams_T[place] >> HALF) & mask)] & bits == bits)
    return found


@inlined
def find(table: Any, key: Any) -> Any:
    mask = np.int64(len(table.slots_C) - 1)
    slot = np.int64(key >> SLOT_SHIFT) & mask
    index = np.int64(table.slots_C[slot])
    while index >= 0 and table.keys_K[index] != key:
        slot = (slot + 1) & mask
        index = np.int64(table.slots_C[slot])
    return index
