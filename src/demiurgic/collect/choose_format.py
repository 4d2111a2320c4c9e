"""Tells the format of a file by the fields of its first records, and stops where that is not sure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from demiurgic.collect.columns import example_columns
from demiurgic.collect.formats import FORMATS, Format
from demiurgic.core.errors import UserError
from demiurgic.core.registry import Choice

LOOKED_AT = 100
"""Records at the start of a file that its format is told by."""
ENOUGH = 0.5
"""The share of them that must be of known formats: a few damaged ones are normal."""
SHOWN = 12
"""How many of a record's fields a message names."""


def choose_format(records: Sequence[Any], *, shown: str) -> Choice:
    """The one format that reads every recognised record of a file's start; `shown` is what messages call the file.

    Raises UserError naming the candidates, and the line to write, when there is none or more than one.
    """
    told = [names for record in records if (names := formats_of(record))]
    if len(told) < ENOUGH * len(records):
        raise _unknown(records, shown=shown)
    candidates = [name for name in FORMATS.entries() if all(_reads(name, names) for names in told)]
    typical = [name for name in candidates if any(name in names for names in told)]
    if len(typical) == 1:
        return FORMATS.choose(typical[0])
    raise _unsure(told, num_records=len(records), shown=shown)


def formats_of(record: Any) -> list[str]:
    """The formats whose fields a record has."""
    if not isinstance(record, Mapping):
        return []
    return [name for name, format in _with_defaults().items() if format.detect(record)]


def _with_defaults() -> dict[str, Format]:
    return {name: entry.make() for name, entry in FORMATS.entries().items()}


def _reads(name: str, found: Sequence[str]) -> bool:
    """Whether a format reads a record in which the formats `found` were recognised."""
    also = FORMATS.get(name).facts.get("reads") or []
    assert isinstance(also, list)
    return name in found or any(other in found for other in also)


def _unsure(told: Sequence[Sequence[str]], *, num_records: int, shown: str) -> UserError:
    counts = Counter(name for names in told for name in names)
    found = ", ".join(f"{count} like {name}" for name, count in counts.most_common())
    lines = ", or ".join(f"format: {name}" for name, _ in counts.most_common())
    return UserError(
        f"{shown}: the format is not sure: of the first {num_records} records {found} look. Write which it is: {lines}."
    )


def _unknown(records: Sequence[Any], *, shown: str) -> UserError:
    first = next((record for record in records if isinstance(record, Mapping)), None)
    if first is None:
        return UserError(f"{shown}: no record at its start is an object with named fields, which every format wants.")
    names = list(map(str, first))
    fields = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
    known = "; ".join(f"{name} ({entry.facts.get('fields')})" for name, entry in FORMATS.entries().items())
    return UserError(
        f"{shown}: its records are of no known format; the first has the fields {fields}. Say which hold what, as in "
        f"{example_columns(first)}, or write the format: {known}."
    )
