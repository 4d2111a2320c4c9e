"""Of each document what a comparison needs: its n-grams once each, sorted, and what to look for partners by.

For the exact join those are the rarest n-grams: of two sets at least `t` similar, with n and m members, at least
t max(n, m) are common, so among the first n - ceil(t n) + 1 of each, in any one order, one is common (the prefix
filter: Chaudhuri et al., A primitive operator for similarity joins, 2006; Xiao et al., PPJoin, 2008). An n-gram that no
other document has cannot be common: it counts for n and for the prefix, and is not kept.
Legend: S n-grams, D documents of one task, F counters.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.sets import set_hash, sort_distinct

CLASS_BITS = 4
CLASS_SHIFT = np.uint64(64 - CLASS_BITS)
NUM_CLASSES = 1 << CLASS_BITS
ALONE = np.uint64(NUM_CLASSES)
CLASS_MASK = np.uint64(NUM_CLASSES - 1)


def rarity_classes() -> np.ndarray:
    """By counter, how rare an n-gram is, in 16 steps of about 1.4; `ALONE` for 0 and 1."""
    steps = np.array([3, 4, 5, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 255])
    classes = np.searchsorted(steps, np.arange(256), side="right").astype(np.uint64)
    classes[:2] = ALONE
    return classes


@inlined
def prefix_of(size: Any, threshold: Any) -> Any:
    """How many of a set's first members must have one of a partner's."""
    return size - np.int64(np.ceil(threshold * size - 1e-9)) + 1


@compiled
def select_rare(
    hashes_S: Any,
    starts_D1: Any,
    threshold: Any,
    counters_F: Any,
    shift: Any,
    classes: Any,
    spare_S: Any,
    ends: Any,
    kept_S: Any,
    about_D: Any,
    set_hash_D2: Any,
) -> Any:
    """Documents that can have a partner: their shared n-grams, rarest first.

    Writes `kept_S` one after the other, and per document four numbers: where its n-grams end in `kept_S`, how many it
    has in all (0: none, or it cannot have a partner), how many of its first are to be looked for, and how many of its
    n-grams nobody shares.
    """
    written = np.int64(0)
    for document in range(len(starts_D1) - 1):
        start, stop = starts_D1[document], starts_D1[document + 1]
        about_D[document, 0] = written
        about_D[document, 1] = 0
        alone = _classify(hashes_S, start, stop, counters_F, shift, classes, spare_S)
        if stop == start or alone >= prefix_of(stop - start, threshold):
            continue
        shared = _shared_first(hashes_S, start, stop, spare_S)
        count = sort_distinct(hashes_S[start:stop], shared, spare_S, ends)
        if alone >= prefix_of(alone + count, threshold):
            continue
        _rarest_first(hashes_S[start:stop], count, kept_S[written:])
        first, second = set_hash(kept_S[written:], count)
        set_hash_D2[document, 0] = first
        set_hash_D2[document, 1] = second
        written += count
        about_D[document, 0] = written
        about_D[document, 1] = alone + count
        about_D[document, 2] = prefix_of(alone + count, threshold) - alone
        about_D[document, 3] = alone


@compiled
def _classify(hashes_S: Any, start: Any, stop: Any, counters_F: Any, shift: Any, classes: Any, class_S: Any) -> Any:
    """Look up the class of each n-gram, `ALONE` for those that only one place has; how many these are.

    A loop with nothing else in it, so that many look-ups are on their way to memory at once.
    """
    alone = np.int64(0)
    for place in range(stop - start):
        found = classes[counters_F[np.int64(hashes_S[start + place] >> shift)]]
        class_S[place] = found
        alone += found == ALONE
    return alone


@compiled
def _shared_first(hashes_S: Any, start: Any, stop: Any, class_S: Any) -> Any:
    """Move the n-grams that more than one place has to the front, their lowest bits now the class; how many."""
    shared = np.int64(0)
    for place in range(stop - start):
        hashes_S[start + shared] = (hashes_S[start + place] & ~CLASS_MASK) | (class_S[place] & CLASS_MASK)
        shared += class_S[place] != ALONE
    return shared


@compiled
def _rarest_first(sorted_S: Any, count: Any, kept_S: Any) -> Any:
    """Move the class from the lowest bits to the highest, and sort by it; those of one class stay as they are."""
    ends = np.zeros(NUM_CLASSES + 1, np.int64)
    for place in range(count):
        ends[np.int64(sorted_S[place] & CLASS_MASK) + 1] += 1
    for rarity in range(NUM_CLASSES):
        ends[rarity + 1] += ends[rarity]
    for place in range(count):
        rarity = sorted_S[place] & CLASS_MASK
        kept_S[ends[np.int64(rarity)]] = (rarity << CLASS_SHIFT) | (sorted_S[place] >> np.uint64(CLASS_BITS))
        ends[np.int64(rarity)] += 1


@compiled
def select_all(
    hashes_S: Any, starts_D1: Any, spare_S: Any, ends: Any, kept_S: Any, about_D: Any, set_hash_D2: Any
) -> Any:
    """The same for every document that has n-grams: all of them, by hash."""
    written = np.int64(0)
    for document in range(len(starts_D1) - 1):
        start, stop = starts_D1[document], starts_D1[document + 1]
        count = sort_distinct(hashes_S[start:stop], stop - start, spare_S, ends)
        first, second = set_hash(hashes_S[start:stop], count)
        kept_S[written : written + count] = hashes_S[start : start + count]
        written += count
        set_hash_D2[document, 0] = first
        set_hash_D2[document, 1] = second
        about_D[document, 0] = written
        about_D[document, 1] = count
        about_D[document, 2] = 0
        about_D[document, 3] = 0


@compiled
def settle(
    about_D: Any,
    set_hash_D2: Any,
    first: Any,
    num_sets: Any,
    slots: Any,
    set_hash_U2: Any,
    set_of_N: Any,
    is_new_D: Any,
) -> Any:
    """Give each document its set: that of an earlier one with equal hash and number of members alone, or a new one.

    `slots` (int32, a power of two above twice the sets, -1 where empty) is the table of sets. A set with members that
    nobody shares is new without asking. How many sets there are then.
    """
    mask = np.int64(len(slots) - 1)
    for document in range(len(about_D)):
        is_new_D[document] = False
        if about_D[document, 1] == 0:
            continue
        is_new_D[document] = True
        found = num_sets
        if about_D[document, 3] == 0:
            one, other = set_hash_D2[document, 0], set_hash_D2[document, 1]
            slot = np.int64(one & np.uint64(0xFFFFFFFFFFFF)) & mask
            while slots[slot] >= 0 and (set_hash_U2[slots[slot], 0] != one or set_hash_U2[slots[slot], 1] != other):
                slot = (slot + 1) & mask
            if slots[slot] >= 0:
                found = np.int64(slots[slot])
                is_new_D[document] = False
            else:
                slots[slot] = num_sets
                set_hash_U2[num_sets, 0] = one
                set_hash_U2[num_sets, 1] = other
        set_of_N[first + document] = found
        num_sets = max(num_sets, found + 1)
    return num_sets
