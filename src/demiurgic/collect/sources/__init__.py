"""Where rows come from: one file per source, found by name. Knows nothing of what becomes of the rows.

A source is a function that is given the folder relative paths start from (the recipe's) and yields each row, or a
`BadRow` where one cannot be used, or a `LeftOut` where one was not wanted; its keyword-only parameters are its options.
Its `fingerprint`, called with the same arguments, returns JSON that changes when the rows would (digests of the files
it reads).
"""

from dataclasses import dataclass
from typing import Annotated

from demiurgic.core.registry import Choice, Registry

SOURCES = Registry("sources", package="demiurgic.collect.sources")
SourceChoice = Annotated[Choice, SOURCES]


@dataclass(frozen=True, slots=True)
class BadRow:
    """Something that should have been a row: where it stands, why it is none, and (the start of) its raw text.

    `position` counts from 1: a line where the file has lines, else a record.
    """

    file: str
    position: int
    reason: str
    raw: str
    rest: bool = False
    """Whether all that follows in the file is lost with it, and nobody knows how much that was."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that could have been a row and that the options, or the source, leave out: no mistake of anybody."""

    file: str
    reason: str
