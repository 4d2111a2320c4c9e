"""MinHash signatures, cut into bands, each band one key: only the keys are kept.

Broder, On the resemblance and containment of documents, 1997; permutations are x -> a x modulo 2^32, a odd, of the
upper half of each n-gram's hash. That half is spread evenly already, so no number need be added to the product.
Legend: S n-grams, D documents of one task, K permutations, B bands, N documents.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled
from demiurgic.text.kernels.wide import least_products

MIX = np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)


@compiled
def sign(
    hashes_S: Any, starts_D1: Any, first: Any, num_permutations: Any, times_K: Any, keys_BN: Any, sizes_N: Any
) -> Any:
    """Write the band keys of documents `first`, `first + 1`, ... and how many n-grams each has, repeats and all.

    `times_K` is filled up to a multiple of 64.
    """
    smallest_K = np.empty(len(times_K), np.uint32)
    for document in range(len(starts_D1) - 1):
        start, stop = starts_D1[document], starts_D1[document + 1]
        sizes_N[first + document] = stop - start
        if stop > start:
            for permutation in range(0, len(times_K), 64):
                least_products(hashes_S[start:stop], times_K, permutation, smallest_K)
            _keys(smallest_K[:num_permutations], first + document, keys_BN)


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
def mark_shared(keys_N: Any, sizes_N: Any, times_seen: Any, first_seen: Any, shared_N: Any) -> Any:
    """Set `shared_N` for each document whose key another has too.

    Most keys are alone, and are passed over after one look-up: `times_seen` (uint8, a power of two) counts how many
    fall on one place. The others are told apart in `first_seen` (int32, a power of two above twice N). What was in
    these tables is overwritten.
    """
    times_seen[:] = 0
    first_seen[:] = -1
    many, mask = np.int64(len(times_seen) - 1), np.int64(len(first_seen) - 1)
    for document in range(len(keys_N)):
        slot = np.int64(keys_N[document] >> HALF) & many
        times_seen[slot] = min(times_seen[slot] + (sizes_N[document] > 0), 2)
    for document in range(len(keys_N)):
        shared_N[document] = 0
        key = keys_N[document]
        if times_seen[np.int64(key >> HALF) & many] < 2 or sizes_N[document] == 0:
            continue
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
