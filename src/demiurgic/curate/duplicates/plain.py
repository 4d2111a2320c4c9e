"""The n-grams of a text as plain Python sets, by the definition of words and characters alone.

Slow and simple: what a compiled run says of a few pairs is held against it. No hashing, no kernels.
"""

import re
from functools import cache

from demiurgic.text.letters import ALONE, BETWEEN, IN_WORD, KIND_SHIFT, NUM_LISTED, SPACE, letters
from demiurgic.text.ngrams import Shingling

ASCII_WORD = re.compile("[0-9a-z_]+")
LAST_IDEOGRAPH = 0x3FFFF


def ngrams(text: str, shingling: Shingling) -> set[tuple[str, ...]]:
    """The set of n-grams; a text shorter than n is one, one without words has none."""
    units = words(text) if shingling.unit == "word" else list(characters(text))
    n = shingling.n
    if len(units) <= n:
        return {tuple(units)} if units else set()
    return {tuple(units[start : start + n]) for start in range(len(units) - n + 1)}


def words(text: str) -> list[str]:
    if text.isascii():
        return ASCII_WORD.findall(text.lower())
    return "".join(map(_apart, text)).split()


def characters(text: str) -> str:
    """Small forms, each run of white space as one space, none at the ends."""
    small = map(_kind_and_small, text)
    return re.sub(" +", " ", "".join(" " if kind == SPACE else form for kind, form in small)).strip(" ")


def jaccard(left: set[tuple[str, ...]], right: set[tuple[str, ...]]) -> float:
    """What two sets share, as a share of all that either has; 0 for two empty ones."""
    return len(left & right) / len(left | right) if left or right else 0.0


@cache
def _kind_and_small(character: str) -> tuple[int, str]:
    code = ord(character)
    if code >= NUM_LISTED:
        return (ALONE if code <= LAST_IDEOGRAPH else BETWEEN), character
    entry = int(letters()[code])
    return entry >> KIND_SHIFT, chr(entry & ((1 << KIND_SHIFT) - 1))


@cache
def _apart(character: str) -> str:
    """A character as it stands among words: itself, alone, or a space."""
    kind, small = _kind_and_small(character)
    return small if kind == IN_WORD else f" {small} " if kind == ALONE else " "
