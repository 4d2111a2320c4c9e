"""Turns the records of a file into rows: by a format, by named columns, or as rows of this package's own schema."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, Literal

from demiurgic.collect.choose_format import LOOKED_AT, choose_format, formats_of
from demiurgic.collect.columns import Columns, example_columns
from demiurgic.collect.fields import Fields
from demiurgic.collect.formats import FORMATS, FormatChoice
from demiurgic.collect.sources import BadRow
from demiurgic.core.errors import UserError
from demiurgic.core.files.records import RAW_LIMIT, Malformed, Record
from demiurgic.core.metric import JSON
from demiurgic.core.records import Row, RowError, read_row

DUPLICATE_ID = "an id that an earlier row has"

FormatOption = FormatChoice | Literal["auto"] | None
"""A format by name or with options; `auto` tells it by the first records of each file; None is our own schema."""


@dataclass(frozen=True)
class Reading:
    """How records become rows, and what stands in where a row names no source, licence, domain or teacher.

    `name` begins every id and is the rows' source; the file is, where it is empty.
    """

    format: FormatOption = None
    columns: Columns | None = None
    keep: tuple[str, ...] = ()
    """Fields of a record that go into its row's meta."""
    name: str = ""
    license: str = ""
    domain: str = ""
    teacher: str = ""

    def __post_init__(self) -> None:
        if self.format is not None and self.columns is not None:
            raise UserError("format and columns are both given. Leave one away: a format knows its columns.")

    def rows(
        self, records: Iterator[Record | Malformed], *, file: str, shown: str, given_ids: set[str]
    ) -> Iterator[Row | BadRow]:
        """The rows of one file's records, and a BadRow for each record that is none, or has an id for the second time.

        `file` stands in ids, `shown` is what messages call it. `given_ids` are those that records of earlier files
        brought with them; this file's are added. Raises UserError when no record fits.
        """
        if self.format == "auto":
            start = list(islice(records, LOOKED_AT))
            values = [record.value for record in start if isinstance(record, Record)]
            format = choose_format(values, shown=shown) if values else None
            records = chain(start, records)
        else:
            format = self.format
        fields = _fields_by(format, self.columns)
        fits, misfit = False, None
        for record in records:
            if isinstance(record, Malformed):
                yield BadRow(file, record.position, record.reason, record.raw, rest=record.rest)
                continue
            try:
                row = self._row(record, file=file, fields=fields)
            except RowError as error:
                misfit = misfit or (record.value, str(error))
                yield BadRow(file, record.position, str(error), _raw(record.value))
                continue
            fits = True
            if row.id != self._place(file, record):
                if row.id in given_ids:
                    yield BadRow(file, record.position, DUPLICATE_ID, _raw(record.value))
                    continue
                given_ids.add(row.id)
            yield row
        if misfit and not fits:
            raise _no_row_fits(shown, *misfit, format=format.name if format else None)

    def _row(self, record: Record, *, file: str, fields: Callable[[Fields], Mapping[str, Any]]) -> Row:
        if not isinstance(record.value, Mapping):
            raise RowError("not an object")
        data = fields(record.value)
        if self.keep:
            data = {**data, "meta": _facts(data.get("meta")) | _kept(record.value, self.keep)}
        row = read_row(data, id=self._place(file, record), source=self.name or file, license=self.license)
        if (self.domain and not row.domain) or (self.teacher and not row.teacher):
            return replace(row, domain=row.domain or self.domain, teacher=row.teacher or self.teacher)
        return row

    def _place(self, file: str, record: Record) -> str:
        """The id of a row whose record brings none."""
        return f"{self.name}/{file}:{record.position}" if self.name else f"{file}:{record.position}"


def format_versions(format: FormatOption) -> JSON:
    """What of the formats enters a key beside the option itself: where any may be chosen, the versions of all."""
    return {name: entry.version for name, entry in FORMATS.entries().items()} if format == "auto" else None


def _fields_by(format: Any, columns: Columns | None) -> Callable[[Fields], Mapping[str, Any]]:
    if columns is not None:
        return columns.row
    made: Callable[[Fields], Mapping[str, Any]] = format().row if format is not None else lambda record: record
    return made


def _facts(meta: Any) -> dict[str, Any]:
    """A meta as a record holds it: an object, or the JSON text of one."""
    if isinstance(meta, str):
        try:
            meta = json.loads(meta)
        except (ValueError, RecursionError):
            raise RowError("meta is not JSON") from None
    if meta is not None and not isinstance(meta, Mapping):
        raise RowError("meta is not an object")
    return dict(meta or {})


def _kept(record: Fields, names: tuple[str, ...]) -> dict[str, Any]:
    missing = [name for name in names if name not in record]
    if missing:
        raise RowError(f"no column {missing[0]}")
    return {name: record[name] for name in names}


def _raw(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:RAW_LIMIT]


def _no_row_fits(shown: str, value: Any, reason: str, *, format: str | None) -> UserError:
    if not isinstance(value, Mapping):
        return UserError(f"{shown}: no record fits; the first is {reason}. Wanted an object with named fields.")
    has = f"Its columns are {', '.join(map(str, value))}."
    if format is not None:
        wants = FORMATS.get(format).facts.get("fields")
        return UserError(f"{shown}: no row fits the format {format}; the first: {reason}. {has} Wanted: {wants}.")
    known = [name for name in formats_of(value) if name != "messages"]
    way = f"format: {known[0]}. Or" if len(known) == 1 else "or"
    hint = (
        f"Wanted rows with messages or text; this looks like {way}"
        if known
        else "Wanted rows with messages or text; or"
    )
    return UserError(
        f"{shown}: no row fits; the first: {reason}. {has} {hint} say which columns hold what, for example "
        f"{example_columns(value)}."
    )
