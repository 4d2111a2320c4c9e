"""Records out of jsonl, json, csv and parquet files, plain or gzipped. A bad record is a value, not the end."""

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError, unknown
from demiurgic.core.files.csv_lines import CsvLines

if TYPE_CHECKING:
    import pyarrow


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


NOT_UTF8 = "not UTF-8"
RAW_LIMIT = 2000
"""Characters of a malformed record that are kept for the person who mends it."""


def read_records(path: Path) -> Iterator[Record | Malformed]:
    """The records of a file, by its suffix.

    Raises UserError for a missing file, an unknown suffix, an empty file, or one that is not what its suffix says.
    """
    suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    if suffix not in READERS:
        raise UserError(f"{path}: {unknown('file type', suffix or path.name, READERS)}")
    if not path.is_file():
        raise UserError(f"{path} does not exist. Check the path; relative paths start from the recipe's folder.")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty. Give a file with at least one record.")
    return READERS[suffix](path)


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    """The file, plain or unpacked; raises UserError for a damaged gzip file as far as it is read."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        try:
            yield file
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{path} is truncated or not gzip ({error}). Fetch it again.") from None


def _jsonl(path: Path) -> Iterator[Record | Malformed]:
    with _opened(path) as file:
        for position, line in enumerate(file, start=1):
            if line.strip():
                yield _json_record(position, line)


def _json_record(position: int, line: bytes) -> Record | Malformed:
    try:
        return Record(position, json.loads(line))
    except UnicodeDecodeError:
        return Malformed(position, NOT_UTF8, line.decode("utf-8", "replace")[:RAW_LIMIT])
    except (ValueError, RecursionError) as error:
        return Malformed(position, f"not JSON: {_json_reason(error)}", line.decode("utf-8", "replace")[:RAW_LIMIT])


def _json_reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else "a number too long to read"


def _json(path: Path) -> Iterator[Record | Malformed]:
    with _opened(path) as file:
        text = file.read()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}. A file with one object per line should end in .jsonl.") from None
    if not isinstance(data, list):
        raise UserError(f"{path} holds one {type(data).__name__}; wanted a list of objects.")
    for position, value in enumerate(data, start=1):
        yield Record(position, value)


def _csv(path: Path) -> Iterator[Record | Malformed]:
    csv.field_size_limit(2**30)
    with (
        _opened(path) as binary,
        io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        lines = CsvLines(text, name=str(path))
        reader = csv.DictReader(lines, strict=True)
        _check_header(path, reader)
        for position in count(1):
            lines.forget()
            try:
                value = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                lines.read_to_the_closing_quote()
                found: Record | Malformed = Malformed(position, f"not CSV: {error}", lines.raw(RAW_LIMIT))
            else:
                found = _csv_record(position, value, lines=lines)
            if isinstance(found, Malformed) and found.reason != NOT_UTF8:
                lines.refuse_several(found.reason)
            yield found


def _check_header(path: Path, reader: "csv.DictReader[str]") -> None:
    try:
        names = list(reader.fieldnames or ())
    except csv.Error as error:
        raise UserError(
            f"{path}: the header line is not CSV ({error}). The first line must name the columns."
        ) from None
    if not names:
        raise UserError(f"{path} has no header line. The first line must name the columns.")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise UserError(f'{path} has two columns called "{twice[0]}". Rename one in the header line.')


def _csv_record(position: int, value: dict[Any, Any], *, lines: CsvLines) -> Record | Malformed:
    if None in value:
        return Malformed(position, "more columns than the header", lines.raw(RAW_LIMIT))
    if None in value.values():
        return Malformed(position, "fewer columns than the header", lines.raw(RAW_LIMIT))
    try:
        "".join(value.values()).encode()
    except UnicodeEncodeError:
        return Malformed(position, NOT_UTF8, lines.raw(RAW_LIMIT))
    return Record(position, value)


def _parquet(path: Path) -> Iterator[Record | Malformed]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            position = 0
            for batch in file.iter_batches(batch_size=4096):
                yield from _parquet_records(batch, position)
                position += batch.num_rows
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path} is truncated or not Parquet ({str(error).splitlines()[0]}). Fetch it again.") from None


def _parquet_records(batch: "pyarrow.RecordBatch", before: int) -> Iterator[Record | Malformed]:
    try:
        values = batch.to_pylist()
    except UnicodeDecodeError:
        for row in range(batch.num_rows):
            yield _parquet_record(batch.slice(row, 1), before + row + 1)
    else:
        yield from (Record(position, value) for position, value in enumerate(values, start=before + 1))


def _parquet_record(row: "pyarrow.RecordBatch", position: int) -> Record | Malformed:
    try:
        return Record(position, row.to_pylist()[0])
    except UnicodeDecodeError as error:
        return Malformed(position, NOT_UTF8, error.object.decode("utf-8", "replace")[:RAW_LIMIT])


READERS: Mapping[str, Callable[[Path], Iterator[Record | Malformed]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
