"""Words and phrases that mean something, hashed into a table that a compiled loop looks words up in. Knows no list.

A word is a run of letters in lower case; digits, signs and apostrophes part words, and each Han, Kana or Hangul
character is one. A phrase is two such words; articles between them are left out: "write story" is found in "Write a
story".
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FACTOR = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: an odd multiplier that spreads bits (Knuth, TAOCP 6.4)."""
MASK = 0xFFFFFFFFFFFFFFFF
START = 0x2545F4914F6CDD1D
ARTICLES = ("a", "an", "the")
MOST_CLASSES = 64


def word_hash(word: str) -> int:
    """The 64-bit hash of a word in lower case, as the compiled loops take it over its UTF-8 bytes."""
    value = START
    for byte in word.lower().encode():
        value = ((value ^ byte) * FACTOR) & MASK
    return ((value ^ value >> 32) * FACTOR) & MASK


def phrase_hash(first: int, second: int) -> int:
    return ((first * 3 + second) * FACTOR) & MASK


@dataclass(frozen=True)
class Lexicon:
    """Entries by hash, in `keys_S` (uint64, 0 is an empty place) with the classes of each as bits in `classes_S`.

    A key stands at the place of its upper bits, or in the next free one. S is a power of two.
    """

    keys_S: "np.ndarray[Any, np.dtype[np.uint64]]"
    classes_S: "np.ndarray[Any, np.dtype[np.uint64]]"
    names: tuple[str, ...]
    """Of the classes, in order of their bits."""

    @classmethod
    def of(cls, classes: Mapping[str, Iterable[str]]) -> "Lexicon":
        """Words and phrases of two words by class, of which there may be 64.

        Raises ValueError for an entry that a text could never hold.
        """
        import numpy as np

        names = tuple(classes)
        if len(names) > MOST_CLASSES:
            raise ValueError(f"{len(names)} classes do not fit into {MOST_CLASSES} bits")
        bits: dict[int, int] = {}
        for place, name in enumerate(names):
            for entry in classes[name]:
                key = _key(entry)
                bits[key] = bits.get(key, 0) | 1 << place
        size = 1 << max(4, (4 * len(bits)).bit_length())
        keys_S, classes_S = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
        for key, mask in bits.items():
            slot = key >> (64 - size.bit_length() + 1)
            while keys_S[slot]:
                slot = (slot + 1) & (size - 1)
            keys_S[slot], classes_S[slot] = key, mask
        return cls(keys_S, classes_S, names)


def _key(entry: str) -> int:
    words = entry.split()
    if not 1 <= len(words) <= 2 or not all(_is_word(word) for word in words):
        raise ValueError(f"{entry!r} is not one or two words of letters")
    if len(words) == 2 and set(words) & set(ARTICLES):
        raise ValueError(f"{entry!r} holds an article, which phrases leave out")
    hashes = [word_hash(word) for word in words]
    return hashes[0] if len(hashes) == 1 else phrase_hash(*hashes)


def _is_word(word: str) -> bool:
    return all(unicodedata.category(letter)[0] in "LM" for letter in word)
