"""What a row says of its origin, as text to match: its own fields by name, else what stands in its meta."""

import json
import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from demiurgic.core.records import Row

OWN = ("source", "license", "domain", "teacher")


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
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
