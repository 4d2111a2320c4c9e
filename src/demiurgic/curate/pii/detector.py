"""What a detector is: how its kind is found in a text, what of it is harmless, and what is put in its place.

Knows no kind. Every pattern here is either anchored on a literal or bounded, so that none is slower than linear.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from demiurgic.curate.pii.draw import Draw


@dataclass(frozen=True, slots=True)
class Place:
    """Where one was found: what is to be replaced (`start` to `stop`), in what no other kind may claim."""

    start: int
    stop: int
    claim_start: int
    claim_stop: int


Find: TypeAlias = Callable[[str], Iterator[Place]]
Test: TypeAlias = Callable[[re.Match[str]], bool]


def _as_it_is(value: str) -> str:
    return value


@dataclass(frozen=True)
class Detector:
    """One kind of personal data or secret.

    `screen` is a pattern of RE2 that every text with one of it matches; it may match more. `find` gives what has the
    form (and the checksum, where there is one). `is_reserved` says what belongs to nobody: examples, documentation,
    surrogates. `surrogate` makes another of the same form, reserved, out of a draw that depends on `canonical(value)`
    alone: two ways to write the same number get the same surrogate.
    """

    kind: str
    screen: str
    find: Find
    is_reserved: Callable[[str], bool]
    surrogate: Callable[[str, Draw], str]
    canonical: Callable[[str], str] = _as_it_is

    def stand_in(self, value: str, *, salt: str) -> str:
        """The surrogate of a value: the same for the same value and salt, in every row and every process."""
        return self.surrogate(value, Draw(self.canonical(value), kind=self.kind, salt=salt))


def _everywhere(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    return pattern.finditer(text)


def by_pattern(
    pattern: re.Pattern[str],
    is_valid: Test = lambda match: True,
    *,
    search: Callable[[re.Pattern[str], str], Iterator[re.Match[str]]] = _everywhere,
) -> Find:
    """Finds by one pattern; its group `value` (else the whole match) is what is replaced."""
    value: str | int = "value" if "value" in pattern.groupindex else 0

    def find(text: str) -> Iterator[Place]:
        for match in search(pattern, text):
            if is_valid(match):
                yield Place(*match.span(value), *match.span())

    return find


def begins(characters: str) -> str:
    """A pattern for the place before which none of `characters` (inside of [...]) stands.

    The letter of an escape (`\\n` written as two characters, as in JSON) does not count as one before.
    """
    return rf"(?:(?<=\\[nrtbf])|(?<![{characters}]))"
