"""The n-grams of a text as hashes of 64 bits: of its words, eight bytes of each at a time, or of its code points.

Two n-grams with one hash are taken for one. Words up to eight bytes long have hashes of their own. Of longer ones, and
of n-grams, it takes some 5 * 10^9 until two are expected to collide (the birthday bound of 64 bits), and these would
have to meet in one pair of texts to be seen.
Legend: B bytes, T words or characters, S n-grams of one text, C common n-grams (a set made by `sets.make_set`).
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.sets import is_in
from demiurgic.text.kernels.wide import join_eight, load_u64
from demiurgic.text.kernels.words import CODE_MASK, KIND_SHIFT_32, decode, entry_of, find_words, find_words_of_run
from demiurgic.text.letters import SPACE

MIX = np.uint64(0xD6E8FEB86659FD93)  # the multiplier of rrmxmx, Pelle Evensen, 2018
STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
HALF, ONE = np.uint64(32), np.uint64(1)
RUN_BYTES = 1 << 14
"""Texts are taken apart together up to so many bytes: half of the time of short ones went into the calls."""
SPACE_HASH = np.uint64(0x5851F42D4C957F2D)


@compiled
def ngrams(
    bytes_B: Any, start: Any, stop: Any, letters: Any, room: Any, by_character: Any, n: Any, common_C: Any, found_S: Any
) -> Any:
    """Write the hashes of the n-grams of `bytes_B[start:stop]` in order, repeats and all; how many they are.

    Those in `common_C` are left out unless all are.
    """
    if by_character:
        count = _hash_characters(bytes_B, start, stop, letters, room.hashes_T)
    else:
        count = find_words(bytes_B, start, stop, letters, room)
        _hash_words(room.small_B, room.starts_T, room.stops_T, count, room.hashes_T)
    if count == 0:
        return count
    found = _join(room.hashes_T, 0, count, n, found_S, 0)
    return without_common(found_S, found, common_C) if len(common_C) > 1 else found


@compiled
def ngrams_of_all(
    bytes_B: Any,
    offsets_D1: Any,
    wanted_D: Any,
    letters: Any,
    room: Any,
    by_character: Any,
    n: Any,
    common_C: Any,
    found_S: Any,
    starts_D1: Any,
) -> Any:
    """The n-grams of D texts, one after the other; those of a text that is not wanted are none."""
    total = np.int64(0)
    text, last = np.int64(0), np.int64(len(wanted_D))
    while text < last:
        starts_D1[text] = total
        if not wanted_D[text]:
            text += 1
        elif by_character:
            start, stop = offsets_D1[text], offsets_D1[text + 1]
            total += ngrams(bytes_B, start, stop, letters, room, by_character, n, common_C, found_S[total:])
            text += 1
        else:
            stop = _end_of_run(offsets_D1, wanted_D, text)
            total = _ngrams_of_run(
                bytes_B, offsets_D1, text, stop, letters, room, n, common_C, found_S, total, starts_D1
            )
            text = stop
    starts_D1[last] = total


@compiled
def _end_of_run(offsets_D1: Any, wanted_D: Any, first: Any) -> Any:
    """One text, and those after it that are wanted, until they are long enough to be worth a call."""
    last = first + 1
    while last < len(wanted_D) and wanted_D[last] and offsets_D1[last + 1] - offsets_D1[first] < RUN_BYTES:
        last += 1
    return last


@compiled
def _ngrams_of_run(
    bytes_B: Any,
    offsets_D1: Any,
    first: Any,
    last: Any,
    letters: Any,
    room: Any,
    n: Any,
    common_C: Any,
    found_S: Any,
    total: Any,
    starts_D1: Any,
) -> Any:
    """The n-grams of the words of texts `first` to `last - 1`, from number `total` on; where they end."""
    count = find_words_of_run(bytes_B, offsets_D1, first, last, letters, room)
    hashes_T, places_T = room.hashes_T, room.starts_T
    _hash_words(room.small_B, places_T, room.stops_T, count, hashes_T)
    word = np.int64(0)
    for text in range(first, last):
        starts_D1[text] = total
        end = offsets_D1[text + 1] - offsets_D1[first]
        begun = word
        while word + 8 <= count and places_T[word + 7] < end:
            word += 8
        while word < count and places_T[word] < end:
            word += 1
        if word > begun:
            found = _join(hashes_T, begun, word - begun, n, found_S, total)
            total += without_common(found_S[total:], found, common_C) if len(common_C) > 1 else found
    return total


@compiled
def known_without_common(hashes_S: Any, offsets_D1: Any, wanted_D: Any, common_C: Any, starts_D1: Any) -> Any:
    """The same for texts whose n-grams are there already: moves those that count together."""
    total = np.int64(0)
    for text in range(len(wanted_D)):
        starts_D1[text] = total
        if wanted_D[text]:
            first, count = offsets_D1[text], offsets_D1[text + 1] - offsets_D1[text]
            for place in range(count):
                hashes_S[total + place] = hashes_S[first + place]
            total += without_common(hashes_S[total:], count, common_C) if len(common_C) > 1 else count
    starts_D1[len(wanted_D)] = total


@compiled
def _hash_words(small_B: Any, starts_T: Any, stops_T: Any, count: Any, hashes_T: Any) -> Any:
    for word in range(count):
        place = np.int64(starts_T[word])
        left = np.int64(stops_T[word]) - place
        hashed = np.uint64(0)
        while left > 8:
            hashed = _stir(hashed ^ load_u64(small_B, place))
            place += 8
            left -= 8
        last = load_u64(small_B, place) & (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - 8 * left))
        hashes_T[word] = _stir(hashed ^ last)


@inlined
def _stir(number: Any) -> Any:
    """One to one."""
    number *= MIX
    return number ^ (number >> HALF)


@compiled
def _hash_characters(bytes_B: Any, start: Any, stop: Any, letters: Any, hashes_T: Any) -> Any:
    """Lower-cased code points; a run of white space is one space, and none at the ends."""
    count = 0
    place = start
    after_space = True
    while place < stop:
        code = np.uint32(bytes_B[place])
        size = np.int64(1)
        if code >= 0xC0:
            code, size = decode(bytes_B, place) if place + 3 < len(bytes_B) else _decode_last(bytes_B, place)
        place += size
        entry = entry_of(letters, code)
        space = entry >> KIND_SHIFT_32 == SPACE
        if not (space and after_space):
            hashes_T[count] = SPACE_HASH if space else _stir(np.uint64(entry & CODE_MASK) + ONE)
            count += 1
        after_space = space
    return count - 1 if after_space and count > 0 else count


@compiled
def _decode_last(bytes_B: Any, place: Any) -> Any:
    """As `decode`, for a character so near the end that it must not be read past."""
    padded = np.zeros(4, np.uint8)
    for byte in range(place, len(bytes_B)):
        padded[byte - place] = bytes_B[byte]
    return decode(padded, 0)


@inlined
def _join(hashes_T: Any, first: Any, count: Any, n: Any, found_S: Any, total: Any) -> Any:
    """n-grams: a polynomial of their parts' hashes, stirred; one of fewer parts where there are not n.

    The parts stand from `first` on, the n-grams are written from `total` on.
    """
    found = np.int64(max(count - n + 1, 1))
    if count < n or found < 8:
        for place in range(found):
            joined = np.uint64(count) if count < n else np.uint64(0)
            for part in range(place, min(place + n, count)):
                joined = joined * STEP + hashes_T[first + part]
            found_S[total + place] = finish(joined)
    else:
        for place in range(0, found - 7, 8):
            join_eight(hashes_T, first + place, np.int64(n), STEP, MIX, found_S, total + place)
        # The last eight, some of them once more.
        join_eight(hashes_T, first + found - 8, np.int64(n), STEP, MIX, found_S, total + found - 8)
    return found


@inlined
def finish(number: Any) -> Any:
    """Spread a joined hash over all 64 bits."""
    number ^= number >> HALF
    number *= MIX
    number ^= number >> HALF
    number *= MIX
    return number ^ (number >> HALF)


@compiled
def without_common(found_S: Any, found: Any, common_C: Any) -> Any:
    kept = 0
    for place in range(found):
        if not is_in(common_C, found_S[place]):
            kept += 1
    if kept == 0 or kept == found:
        return found
    kept = 0
    for place in range(found):
        if not is_in(common_C, found_S[place]):
            found_S[kept] = found_S[place]
            kept += 1
    return kept
