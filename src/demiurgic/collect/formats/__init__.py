"""The forms in which public sets write a conversation: one file per form, found by name. Knows nothing of files.

A format says of a record (one JSON object) whether its fields are those of this form, and turns one into the fields of
a row, as `core/records.read_row` reads them. Its keyword-only parameters are its options; all have a default. It is
registered with `fields`, a few words on what such a record holds, and `reads`, the names of formats whose records it
reads as well: a file in which some records lack an optional field is one of this form then.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from demiurgic.core.registry import Choice, Registry

FORMATS = Registry("formats", package="demiurgic.collect.formats")
FormatChoice = Annotated[Choice, FORMATS]

Fields = Mapping[str, Any]


class Format(Protocol):
    """One form of records."""

    def detect(self, record: Fields) -> bool:
        """Whether a record has the fields of this form, and not those of another."""
        ...

    def row(self, record: Fields) -> dict[str, Any]:
        """The fields of a row. Raises RowError with a short reason where the record does not hold them."""
        ...
