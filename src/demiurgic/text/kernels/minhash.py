"""MinHash signatures, cut into bands, each band one key: only the keys are kept.

Broder, On the resemblance and containment of documents, 1997; permutations are x -> a x + b modulo 2^32, a odd, of the
upper half of each n-gram's hash. Legend: S n-grams, D documents of one task, K permutations, B bands, N documents.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled

MIX = np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)
EMPTY = np.uint32(0xFFFFFFFF)


@compiled
def sign(hashes_S: Any, starts_D1: Any, first: Any, times_K: Any, plus_K: Any, keys_BN: Any, has_N: Any) -> Any:
    """Write the band keys of documents `first`, `first + 1`, ... and which of them have n-grams at all."""
    smallest_K = np.empty(len(times_K), np.uint32)
    upper = np.empty(8, np.uint32)
    for document in range(len(starts_D1) - 1):
        start, stop = starts_D1[document], starts_D1[document + 1]
        has_N[first + document] = stop > start
        if stop > start:
            _smallest(hashes_S[start:stop], times_K, plus_K, smallest_K, upper)
            _keys(smallest_K, first + document, keys_BN)


@compiled
def _smallest(hashes_S: Any, times_K: Any, plus_K: Any, smallest_K: Any, upper: Any) -> Any:
    """Eight n-grams per pass over the permutations: an eighth of the loads and stores of one by one."""
    for k in range(len(smallest_K)):
        smallest_K[k] = EMPTY
    count = len(hashes_S)
    for place in range(0, count, 8):
        for near in range(8):  # the last stands for those past the end: a set does not mind repeats
            upper[near] = np.uint32(hashes_S[min(place + near, count - 1)] >> HALF)
        x0, x1, x2, x3 = upper[0], upper[1], upper[2], upper[3]
        x4, x5, x6, x7 = upper[4], upper[5], upper[6], upper[7]
        for k in range(len(smallest_K)):
            a, b = times_K[k], plus_K[k]
            left = min(
                min(np.uint32(a * x0 + b), np.uint32(a * x1 + b)), min(np.uint32(a * x2 + b), np.uint32(a * x3 + b))
            )
            right = min(
                min(np.uint32(a * x4 + b), np.uint32(a * x5 + b)), min(np.uint32(a * x6 + b), np.uint32(a * x7 + b))
            )
            smallest_K[k] = min(smallest_K[k], min(left, right))


@compiled
def _keys(smallest_K: Any, document: Any, keys_BN: Any) -> Any:
    bands = len(keys_BN)
    rows = len(smallest_K) // bands
    for band in range(bands):
        key = np.uint64(band + 1) * MIX
        first, stop = band * rows, (band + 1) * rows
        if rows % 2:
            key = (key ^ np.uint64(smallest_K[first])) * MIX
            first += 1
        for row in range(first, stop, 2):
            key ^= np.uint64(smallest_K[row]) << HALF | np.uint64(smallest_K[row + 1])
            key *= MIX
            key ^= key >> HALF
        keys_BN[band, document] = key


@compiled
def mark_shared(keys_N: Any, has_N: Any, first_seen: Any, shared_N: Any) -> Any:
    """Set `shared_N` for each document whose key another has too.

    `first_seen` (int32, a power of two, at least twice N, all -1) is used up.
    """
    mask = np.int64(len(first_seen) - 1)
    for document in range(len(keys_N)):
        shared_N[document] = 0
        if has_N[document]:
            key = keys_N[document]
            slot = np.int64(key & np.uint64(0xFFFFFFFFFFFF)) & mask
            while first_seen[slot] >= 0 and keys_N[first_seen[slot]] != key:
                slot = (slot + 1) & mask
            if first_seen[slot] < 0:
                first_seen[slot] = document
            else:
                shared_N[document] = 1
                shared_N[first_seen[slot]] = 1


@compiled
def shared_keys(keys_BN: Any, shared_BN: Any, documents: Any, starts: Any, marks: Any) -> Any:
    """Write the keys that each document shares with another; `starts` gets where those of each begin, and the end."""
    written = np.int64(0)
    for place in range(len(documents)):
        starts[place] = written
        for band in range(len(keys_BN)):
            if shared_BN[band, documents[place]]:
                marks[written] = keys_BN[band, documents[place]]
                written += 1
    starts[len(documents)] = written
