"""What a reader gives of a file: records, and what should have been one. Knows no format."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """One readable record; `position` counts from 1 (the line of a jsonl file, the data row of the others)."""

    position: int
    value: Any


@dataclass(frozen=True, slots=True)
class Malformed:
    """One record that could not be read, why, and (the start of) its raw text."""

    position: int
    reason: str
    raw: str
    rest: bool = False
    """Whether all that follows in the file is lost with it, and nobody knows how many records that was."""


NOT_UTF8 = "not UTF-8"
BREAKS_OFF = "the file breaks off here"
RAW_LIMIT = 2000
"""Characters of a malformed record that are kept for the person who mends it."""


def readable(text: str) -> str:
    """The start of a raw text; bytes that are no UTF-8, which surrogates stand for, are replaced."""
    return text[:RAW_LIMIT].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
