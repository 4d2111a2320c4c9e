"""The words of a text, from its bytes: 64 of them at a time, and one character at a time only where it is not ASCII.

What a word is stands in `text/letters.py`; ASCII is decided by `wide.classify`, which must agree with it.
Legend: B bytes, W blocks of 64, T words.
"""

from typing import Any, NamedTuple

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.wide import bits_set, classify, trailing_zeros, write_eight
from demiurgic.text.letters import ALONE, IN_WORD, KIND_SHIFT, NUM_LISTED
from demiurgic.text.workspace import zeros

KIND_SHIFT_32 = np.uint32(KIND_SHIFT)
CODE_MASK = np.uint32((1 << KIND_SHIFT) - 1)
ONE, ALL = np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
PAST = 128
"""So many bytes are written and read past the end of a text."""


Array = np.ndarray[Any, np.dtype[Any]]


class Room(NamedTuple):
    """Where one thread takes a text apart; made by `room_for`."""

    small_B: Array
    words_W: Array
    beyond_W: Array
    cuts_W: Array
    starts_T: Array
    stops_T: Array
    hashes_T: Array


def room_for(longest_bytes: int) -> Room:
    """Room for texts up to so many bytes."""
    blocks = longest_bytes // 64 + 3
    words_W, beyond_W, cuts_W = (zeros(blocks, np.uint64) for _ in range(3))
    # A word and what parts it from the next are two bytes; a character that is a word of its own is three.
    starts_T, stops_T = (zeros(longest_bytes // 2 + 66, np.int32) for _ in range(2))
    small_B, hashes_T = zeros(longest_bytes + 2 * PAST, np.uint8), zeros(longest_bytes + 66, np.uint64)
    return Room(small_B, words_W, beyond_W, cuts_W, starts_T, stops_T, hashes_T)


@compiled
def find_words(bytes_B: Any, start: Any, stop: Any, letters: Any, room: Any) -> Any:
    """Write the words of `bytes_B[start:stop]` as places in `room.small_B`, the lower-cased text; how many they are."""
    num_blocks = _classify_all(bytes_B, start, stop, room)
    return _places_of_words(num_blocks, stop - start, letters, room)


@compiled
def find_words_of_run(bytes_B: Any, offsets_D1: Any, first: Any, last: Any, letters: Any, room: Any) -> Any:
    """The same for texts `first` to `last - 1`, which follow one another, as one: a word ends where its text does."""
    start, stop = offsets_D1[first], offsets_D1[last]
    num_blocks = _classify_all(bytes_B, start, stop, room)
    for text in range(first + 1, last):
        _set(room.cuts_W, offsets_D1[text] - start)
    return _places_of_words(num_blocks, stop - start, letters, room)


@compiled
def _places_of_words(num_blocks: Any, length: Any, letters: Any, room: Any) -> Any:
    for block in range(num_blocks):
        if room.beyond_W[block]:
            _settle_characters(block, length, letters, room)
    # A bit per byte: word bytes, and those before which a word ends though it goes on.
    num_starts = np.int64(0)
    num_stops = np.int64(0)
    before = np.uint64(0)
    for block in range(num_blocks + 1):
        word = room.words_W[block]
        cut = room.cuts_W[block]
        previous = (word << ONE) | before
        before = word >> np.uint64(63)
        num_starts = _write_places(word & (~previous | cut), block * 64, room.starts_T, num_starts)
        num_stops = _write_places(previous & (~word | cut), block * 64, room.stops_T, num_stops)
    return num_stops


@compiled
def _write_places(mask: Any, first: Any, places: Any, count: Any) -> Any:
    """Eight at a time whether or not there are as many: cheaper than to ask after each."""
    written = bits_set(mask)
    for place in range(count, count + written, 8):
        mask = write_eight(mask, first, places, place)
    return count + written


@compiled
def _classify_all(bytes_B: Any, start: Any, stop: Any, room: Any) -> Any:
    """Fill the masks of each block and an empty one after the last; how many blocks the text has."""
    length = stop - start
    num_blocks = (length + 63) >> 6
    for block in range(num_blocks):
        place = block << 6
        if start + place + 64 <= len(bytes_B):
            word, beyond = classify(bytes_B, start + place, room.small_B, place)
        else:
            for byte in range(place, length):
                room.small_B[byte] = bytes_B[start + byte]
            word, beyond = classify(room.small_B, place, room.small_B, place)
        left = length - place
        inside = ALL if left >= 64 else (ONE << np.uint64(left)) - ONE
        room.words_W[block] = word & inside
        room.beyond_W[block] = beyond & inside
        room.cuts_W[block] = 0
    room.words_W[num_blocks] = 0
    room.cuts_W[num_blocks] = 0
    return num_blocks


@compiled
def _settle_characters(block: Any, length: Any, letters: Any, room: Any) -> Any:
    """Settle the characters beyond ASCII that begin in a block: what they are, and their small form."""
    left = room.beyond_W[block]
    small_B = room.small_B
    while left:
        place = np.int64(block * 64 + trailing_zeros(left))
        left &= left - ONE
        if small_B[place] < 0xC0:
            continue
        code, size = decode(small_B, place)
        entry = entry_of(letters, code)
        kind = entry >> KIND_SHIFT_32
        if kind == IN_WORD:
            if entry & CODE_MASK != code:
                encode(small_B, place, entry & CODE_MASK, size)
        elif kind == ALONE:
            _set(room.cuts_W, place)
            _set(room.cuts_W, place + size)
        else:
            for byte in range(place, min(place + size, length)):
                room.words_W[byte >> 6] &= ~(ONE << np.uint64(byte & 63))


@inlined
def _set(mask_W: Any, place: Any) -> Any:
    mask_W[place >> 6] |= ONE << np.uint64(place & 63)


@inlined
def entry_of(letters: Any, code: Any) -> Any:
    """The entry of a code point (uint32) in the table of `text/letters.py`."""
    entry = np.uint32(ALONE << KIND_SHIFT) | code if code < 0x40000 else code
    if code < NUM_LISTED:
        entry = letters[code]
    return entry


@inlined
def decode(bytes_B: Any, place: Any) -> Any:
    """The code point (uint32) that begins with the byte at `place`, which is 0xC0 or more, and its number of bytes."""
    first = np.uint32(bytes_B[place])
    second = np.uint32(bytes_B[place + 1]) & np.uint32(0x3F)
    code = (first & np.uint32(0x1F)) << np.uint32(6) | second
    size = np.int64(2)
    if first >= 0xE0:
        third = np.uint32(bytes_B[place + 2]) & np.uint32(0x3F)
        code = (first & np.uint32(0x0F)) << np.uint32(12) | second << np.uint32(6) | third
        size = np.int64(3)
        if first >= 0xF0:
            fourth = np.uint32(bytes_B[place + 3]) & np.uint32(0x3F)
            high = (first & np.uint32(0x07)) << np.uint32(18) | second << np.uint32(12)
            code = high | third << np.uint32(6) | fourth
            size = np.int64(4)
    return code, size


@inlined
def encode(bytes_B: Any, place: Any, code: Any, size: Any) -> Any:
    """Write a code point of `size` bytes, 2 or more; the lead byte keeps its length bits."""
    for byte in range(place + size - 1, place, -1):
        bytes_B[byte] = np.uint8(0x80) | np.uint8(code & np.uint32(0x3F))
        code >>= np.uint32(6)
    lead = np.uint32(0xC0) if size == 2 else np.uint32(0xE0) if size == 3 else np.uint32(0xF0)
    bytes_B[place] = np.uint8(lead | code)
