"""In about how many documents each n-gram stands: counters of one byte, shared by all n-grams that fall on them.

A counter is never below the truth, so what it calls unique is unique. Legend: F counters (a power of two), S n-grams,
P parts of the counters, each counted under a lock of its own.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled

FULL = np.uint8(255)
PART_BITS = 4
NUM_PARTS = 1 << PART_BITS


@compiled
def by_part(hashes_S: Any, gathered_S: Any) -> Any:
    """Write hashes so that those of one part of the counters stand together; where the parts begin."""
    starts_P1 = np.zeros(NUM_PARTS + 1, np.int64)
    shift = np.uint64(64 - PART_BITS)
    for place in range(len(hashes_S)):
        starts_P1[np.int64(hashes_S[place] >> shift) + 1] += 1
    for below in range(NUM_PARTS):
        starts_P1[below + 1] += starts_P1[below]
    ends = starts_P1.copy()
    for place in range(len(hashes_S)):
        part = np.int64(hashes_S[place] >> shift)
        gathered_S[ends[part]] = hashes_S[place]
        ends[part] += 1
    return starts_P1


@compiled
def count(hashes_S: Any, counters_F: Any, shift: Any) -> Any:
    """Count hashes; `shift` leaves as many of their highest bits as number the counters."""
    for place in range(len(hashes_S)):
        slot = np.int64(hashes_S[place] >> shift)
        seen = counters_F[slot]
        if seen < FULL:
            counters_F[slot] = seen + np.uint8(1)


@compiled
def keep_frequent(hashes_S: Any, counters_F: Any, shift: Any, above: Any) -> Any:
    """Move to the front the hashes whose counter is above a number; how many they are."""
    kept = 0
    for place in range(len(hashes_S)):
        value = hashes_S[place]
        if counters_F[np.int64(value >> shift)] > above:
            hashes_S[kept] = value
            kept += 1
    return kept


@compiled
def tally(numbers_S: Any, times_S: Any, keys_C: Any, counts_C: Any) -> Any:
    """Add to exact counts, in a table of a power of two (0 is an empty place); how many places it filled."""
    mask = np.int64(len(keys_C) - 1)
    filled = 0
    for place in range(len(numbers_S)):
        value = numbers_S[place]
        slot = np.int64(value & np.uint64(0xFFFFFFFFFFFF)) & mask
        while keys_C[slot] != 0 and keys_C[slot] != value:
            slot = (slot + 1) & mask
        filled += keys_C[slot] == 0
        keys_C[slot] = value
        counts_C[slot] += times_S[place]
    return filled
