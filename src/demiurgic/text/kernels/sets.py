"""Sets of hashes: sorting them, telling equal ones, asking what is in one.

All hashes are evenly spread over 64 bits; that is what makes them cheap to sort. Legend: S hashes of one set.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined

HALF = np.uint64(32)
FIRST, SECOND = np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)  # primes of xxHash64
SMALL = 24
"""Fewer are sorted by insertion alone."""


@compiled
def sort_distinct(values_S: Any, count: Any, spare_S: Any, ends: Any) -> Any:
    """Sort the first `count` hashes, each kept once; how many are left.

    Spread evenly over as many buckets as there are hashes, then put right by insertion. `spare_S` and `ends` (int32)
    are as long as the longest set, `ends` with 2 more.
    """
    if count > SMALL:
        _to_buckets(values_S, count, spare_S, ends)
    kept = np.int64(0)
    for place in range(count):
        value = values_S[place]
        left = kept - 1
        while left >= 0 and values_S[left] > value:
            left -= 1
        if left >= 0 and values_S[left] == value:
            continue
        for moved in range(kept, left + 1, -1):
            values_S[moved] = values_S[moved - 1]
        values_S[left + 1] = value
        kept += 1
    return kept


@compiled
def _to_buckets(values_S: Any, count: Any, spare_S: Any, ends: Any) -> Any:
    bits = 5
    while (1 << bits) < count:
        bits += 1
    bits -= 1
    shift = np.uint64(64 - bits)
    ends[: (1 << bits) + 1] = 0
    for place in range(count):
        spare_S[place] = values_S[place]
        ends[np.int64(values_S[place] >> shift) + 1] += 1
    for below in range(1 << bits):
        ends[below + 1] += ends[below]
    for place in range(count):
        bucket = np.int64(spare_S[place] >> shift)
        values_S[ends[bucket]] = spare_S[place]
        ends[bucket] += 1


@compiled
def set_hash(values_S: Any, count: Any) -> Any:
    """128 bits of a set whose members stand each once, in any order."""
    first: Any = np.uint64(count)
    second: Any = np.uint64(0)
    for place in range(count):
        one = values_S[place] * FIRST
        other = (values_S[place] ^ FIRST) * SECOND
        first += (one ^ (one >> HALF)) * SECOND
        second += (other ^ (other >> HALF)) * FIRST
    return first, second


@inlined
def is_in(table_C: Any, number: Any) -> Any:
    """Whether a set made by `make_set` has a number."""
    mask = np.int64(len(table_C) - 1)
    slot = np.int64(number >> HALF) & mask
    while table_C[slot] != 0 and table_C[slot] != number:
        slot = (slot + 1) & mask
    return table_C[slot] == number


@compiled
def make_set(numbers: Any, table_C: Any) -> Any:
    """Put numbers into a table of zeros at least twice as long; 0 is left out, and stands for an empty place."""
    mask = np.int64(len(table_C) - 1)
    for number in numbers:
        slot = np.int64(number >> HALF) & mask
        while table_C[slot] != 0 and table_C[slot] != number:
            slot = (slot + 1) & mask
        table_C[slot] = number
