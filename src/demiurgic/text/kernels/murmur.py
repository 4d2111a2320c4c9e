"""128 bits of a run of bytes: MurmurHash3 x64 128 (Austin Appleby, public domain), for many runs in one call.

Not for cryptography: whoever sets out to can make two texts with one hash. By chance, among 10^10 texts, the odds that
any two share one are 10^20 / 2^129, about 1.5e-19.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined

C1 = np.uint64(0x87C37B91114253D5)
C2 = np.uint64(0x4CF5AD432745937F)
F1 = np.uint64(0xFF51AFD7ED558CCD)
F2 = np.uint64(0xC4CEB9FE1A85EC53)
A1 = np.uint64(0x52DCE729)
A2 = np.uint64(0x38495AB5)
FIVE = np.uint64(5)
U33 = np.uint64(33)


@inlined
def _rotated(value: Any, bits: int) -> Any:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@inlined
def _eight(bytes_B: Any, start: int) -> Any:
    """Eight bytes as a number, the first the lowest: one load, as LLVM sees."""
    value = np.uint64(bytes_B[start])
    for place in range(1, 8):
        value |= np.uint64(bytes_B[start + place]) << np.uint64(8 * place)
    return value


@inlined
def _few(bytes_B: Any, start: int, stop: int) -> Any:
    value = np.uint64(0)
    for place in range(stop - start):
        value |= np.uint64(bytes_B[start + place]) << np.uint64(8 * place)
    return value


@inlined
def _finished(value: Any) -> Any:
    value = (value ^ (value >> U33)) * F1
    value = (value ^ (value >> U33)) * F2
    return value ^ (value >> U33)


@compiled
def hash_runs(bytes_B: Any, offsets_N1: Any, seed: Any, hashes_N2: Any) -> None:
    """Write the hash of each run `bytes_B[offsets_N1[i]:offsets_N1[i + 1]]` into `hashes_N2[i]`."""
    for run in range(len(offsets_N1) - 1):
        start, stop = offsets_N1[run], offsets_N1[run + 1]
        h1 = seed
        h2 = seed
        at = start
        while at + 16 <= stop:
            h1 ^= _rotated(_eight(bytes_B, at) * C1, 31) * C2
            h1 = (_rotated(h1, 27) + h2) * FIVE + A1
            h2 ^= _rotated(_eight(bytes_B, at + 8) * C2, 33) * C1
            h2 = (_rotated(h2, 31) + h1) * FIVE + A2
            at += 16
        if stop - at > 8:
            h2 ^= _rotated(_few(bytes_B, at + 8, stop) * C2, 33) * C1
        if stop > at:
            h1 ^= _rotated(_few(bytes_B, at, min(at + 8, stop)) * C1, 31) * C2
        length = np.uint64(stop - start)
        h1 ^= length
        h2 ^= length
        h1 += h2
        h2 += h1
        h1 = _finished(h1)
        h2 = _finished(h2)
        h1 += h2
        hashes_N2[run, 0] = h1
        hashes_N2[run, 1] = h2 + h1
