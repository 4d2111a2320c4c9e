"""Adds the words of texts to tables of counts and of distinct n-grams: one table per group of texts.

N texts, B bytes in all, G groups, S slots (a power of two), R registers (4,096), T words of one text.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.ngrams import ngrams
from demiurgic.text.kernels.wide import trailing_zeros

FACTOR = np.uint64(0x9E3779B97F4A7C15)
REST_BITS, REGISTER_BIT = np.uint64(52), np.uint64(1 << 52)


@inlined
def _mixed(value: Any) -> Any:
    """Every bit of the result depends on all bits: the finaliser of SplitMix64 (Steele et al. 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@inlined
def _note(registers_R: Any, value: Any) -> None:
    """Note a hash in a HyperLogLog: 12 bits choose the register, the place of the lowest 1 of the rest is the rank."""
    rank = trailing_zeros(value | REGISTER_BIT) + 1
    place = np.int64(value >> REST_BITS)
    if registers_R[place] < rank:
        registers_R[place] = rank


@compiled
def tally_words(
    bytes_B: Any,
    offsets_N1: Any,
    letters: Any,
    room: Any,
    group_N: Any,
    words_N: Any,
    counts_GS: Any,
    registers_G3R: Any,
    ngrams_G3: Any,
) -> None:
    """Count the words of each text, and its n-grams of one, two and three words, into the tables of its group.

    `offsets_N1`, `group_N`, `words_N` (how many words each text has), `counts_GS` and `ngrams_G3` are int64,
    `registers_G3R` is uint8; `letters` and `room` are those of `words.py`.
    """
    none_C = np.zeros(1, np.uint64)
    hashes_T = np.empty(len(room.hashes_T), np.uint64)
    mask = np.uint64(counts_GS.shape[1] - 1)
    for text in range(len(group_N)):
        count = ngrams(bytes_B, offsets_N1[text], offsets_N1[text + 1], letters, room, False, 1, none_C, hashes_T)
        group = group_N[text]
        words_N[text] = count
        before, last = np.uint64(0), np.uint64(0)
        for word in range(count):
            value = _mixed(hashes_T[word])
            counts_GS[group, np.int64(value & mask)] += 1
            _note(registers_G3R[group, 0], value)
            if word > 0:
                pair = _mixed(last * FACTOR + value)
                _note(registers_G3R[group, 1], pair)
                if word > 1:
                    _note(registers_G3R[group, 2], _mixed(before * FACTOR + pair))
            before, last = last, value
        ngrams_G3[group, 0] += count
        ngrams_G3[group, 1] += max(0, count - 1)
        ngrams_G3[group, 2] += max(0, count - 2)
