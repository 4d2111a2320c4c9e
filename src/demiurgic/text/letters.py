"""What each character is to a reader of words: part of one, a word of its own, between words; and its small form.

By Unicode's general categories. Characters whose small form takes another number of bytes (İ, the Kelvin sign) keep
their own, so that a text and its lower-cased copy have the same places.
"""

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

BETWEEN, IN_WORD, ALONE, SPACE = range(4)
KIND_SHIFT = 24
"""An entry of the table is the kind above this bit and the small form's code point below."""
NUM_LISTED = 0x20000
"""Code points with an entry of their own; those above are ideographs up to 0x3FFFF, and then stand between words."""

WITHOUT_SPACES = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai and Lao, Burmese, Khmer
    *((0x1100, 0x11FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x303C), (0x3041, 0x318F), (0x31A0, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0xFF66, 0xFFDC)),
    *((0x1AFF0, 0x1B16F),),
)
"""First and last of each range of scripts whose letters are words of their own."""


@cache
def letters() -> "np.ndarray[Any, np.dtype[np.uint32]]":
    """The table, made once: `NUM_LISTED` entries."""
    import numpy as np

    table = np.fromiter(map(_entry, range(NUM_LISTED)), np.uint32, NUM_LISTED)
    for first, last in WITHOUT_SPACES:
        chosen = table[first : last + 1]
        in_word = chosen >> KIND_SHIFT == IN_WORD
        chosen[in_word] += (ALONE - IN_WORD) << KIND_SHIFT
    return table


def _entry(code: int) -> int:
    character = chr(code)
    small = character.lower()
    same_size = len(small) == 1 and _num_bytes(ord(small)) == _num_bytes(code)
    return kind_of(character) << KIND_SHIFT | (ord(small) if same_size else code)


def kind_of(character: str) -> int:
    """Without regard to scripts that have no spaces."""
    if character == "_" or unicodedata.category(character)[0] in "LMN":
        return IN_WORD
    return SPACE if character.isspace() else BETWEEN


def _num_bytes(code: int) -> int:
    return 1 if code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4
