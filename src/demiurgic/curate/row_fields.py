"""What a row says of its origin, as text to match: its own fields by name, else what stands in its meta."""

import json
import re
from collections.abc import Iterable
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from demiurgic.core.errors import UserError, unknown
from demiurgic.core.records import Row

OWN = ("source", "license", "domain", "teacher")


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    return pattern


Pattern: TypeAlias = Annotated[str, AfterValidator(_compiles)]
"""A regular expression (Python's `re`), checked when the recipe is read."""


def field_of(row: Row, name: str) -> str | None:
    """The value of `source`, `license`, `domain`, `teacher` or a key of `meta`; None where the row says nothing.

    A value of meta that is no text is given as JSON writes it (`3`, `true`).
    """
    value = getattr(row, name) or None if name in OWN else row.facts.get(name)
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


class Wanted:
    """The keys of meta that filters name, and which of them no row has had so far."""

    def __init__(self, names: Iterable[str]) -> None:
        self._missing = set(names) - set(OWN)
        self._seen: set[str] = set()

    def see(self, row: Row) -> None:
        if self._missing:
            found = {name for name, value in row.facts.items() if value is not None}
            self._seen |= found
            self._missing -= found

    def check(self) -> None:
        """Raises UserError when a key stood in no row at all: a filter that finds none drops nothing, or everything."""
        if self._missing:
            named = unknown("field of rows", min(self._missing), {*OWN, *self._seen})
            raise UserError(f"{named} No row has it in its meta, and a filter looks for it.")
