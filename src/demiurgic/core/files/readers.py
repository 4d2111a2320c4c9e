"""Records out of jsonl, json, csv and parquet files, plain, gzipped or zstd. A bad record is a value, not the end.

Of a file that is damaged the records before the damage come, and after it those that can be told apart.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

from demiurgic.core.errors import UserError, unknown
from demiurgic.core.files.csv_lines import CsvLines
from demiurgic.core.files.json_list import json_list
from demiurgic.core.files.records import BREAKS_OFF, NOT_UTF8, RAW_LIMIT, Malformed, Record
from demiurgic.core.files.unpacked import PACKINGS, Bytes, unpacked

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Readable:
    """A file that may lie anywhere: its name, with the suffixes that say what it is, and how its bytes are opened.

    A parquet file must be one that can be sought in.
    """

    name: str
    open: Callable[[], BinaryIO]


def read_records(path: Path) -> Iterator[Record | Malformed]:
    """The records of a file, by its suffix.

    Raises UserError for a missing file, an unknown suffix, an empty file, or one that is not what its suffix says.
    """
    reader = _reader(path.name, shown=str(path))
    if not path.is_file():
        raise UserError(f"{path} does not exist. Check the path; relative paths start from the recipe's folder.")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty. Give a file with at least one record.")
    return reader(Readable(str(path), partial(_open, path)))


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def read_opened(file: Readable) -> Iterator[Record | Malformed]:
    """The records of a file that lies elsewhere. Raises UserError as `read_records` does."""
    return _reader(file.name, shown=file.name)(file)


def suffix_of(name: str) -> str:
    """The suffix that says what a file holds, `.csv` of `a.csv.gz`; empty where there is none."""
    path = PurePath(name)
    return PurePath(path.stem).suffix if path.suffix in PACKINGS else path.suffix


def _reader(name: str, *, shown: str) -> Callable[[Readable], Iterator[Record | Malformed]]:
    suffix = suffix_of(name)
    if suffix not in READERS:
        raise UserError(f"{shown}: {unknown('file type', suffix or name, READERS)}")
    return READERS[suffix]


def _jsonl(file: Readable) -> Iterator[Record | Malformed]:
    with unpacked(file.open, name=file.name) as opened:
        position = 0
        for position, line in enumerate(opened.file, start=1):
            if not line.strip():
                continue
            found = _json_record(position, line)
            if position == 1:
                _refuse_list(found, line, name=file.name)
            # The last line of a file that breaks off may be the start of one.
            if opened.damage and not line.endswith(b"\n") and not (isinstance(found, Record) and _is_object(found)):
                yield Malformed(position, BREAKS_OFF, line.decode("utf-8", "replace")[:RAW_LIMIT], rest=True)
                return
            yield found
        yield from _break(opened, position + 1)


def _refuse_list(first: Record | Malformed, line: bytes, *, name: str) -> None:
    """Raises UserError for the first line of one list of objects, which is another kind of file."""
    whole = (
        isinstance(first, Record) and isinstance(first.value, list) and any(isinstance(x, dict) for x in first.value)
    )
    if whole or line.removeprefix(BOM).strip() == b"[":
        raise UserError(
            f"{name} holds one list, where a file that ends in .jsonl has one object per line. Give it a name that "
            "ends in .json, or write one object per line."
        )


def _is_object(record: Record) -> bool:
    return isinstance(record.value, dict)


def _break(opened: Bytes, position: int) -> Iterator[Malformed]:
    """The damage that the bytes ended at, as a malformed record."""
    if opened.damage:
        yield Malformed(position, BREAKS_OFF, "", rest=True)


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


def _json(file: Readable) -> Iterator[Record | Malformed]:
    if _holds_lines(file):
        yield from _jsonl(file)
        return
    with unpacked(file.open, name=file.name) as opened:
        position, rest = 0, False
        for found in json_list(opened.file, name=file.name):
            position, rest = found.position, isinstance(found, Malformed) and found.rest
            yield found
        if not rest:
            yield from _break(opened, position + 1)


def _holds_lines(file: Readable) -> bool:
    """Whether a file has one object per line though its name says otherwise: many on the hub have."""
    with unpacked(file.open, name=file.name) as opened:
        if not opened.file.peek(64).removeprefix(BOM).lstrip().startswith(b"{"):
            return False
        first = opened.file.readline().removeprefix(BOM).strip()
        return isinstance(_json_record(1, first), Record) and any(line.strip() for line in opened.file)


def _csv(file: Readable) -> Iterator[Record | Malformed]:
    csv.field_size_limit(2**30)
    with (
        unpacked(file.open, name=file.name) as opened,
        io.TextIOWrapper(opened.file, encoding="utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        lines = CsvLines(text, name=file.name)
        reader = csv.DictReader(lines, strict=True)
        _check_header(file.name, reader)
        for position in count(1):
            lines.forget()
            breaks_off = False
            try:
                value = next(reader)
            except StopIteration:
                yield from _break(opened, position)
                return
            except csv.Error as error:
                lines.read_to_the_closing_quote()
                breaks_off = str(error) == "unexpected end of data"
                found: Record | Malformed = Malformed(position, f"not CSV: {error}", lines.raw(RAW_LIMIT))
            else:
                found = _csv_record(position, value, lines=lines)
            if opened.damage and (breaks_off or not lines.whole):
                yield Malformed(position, BREAKS_OFF, lines.raw(RAW_LIMIT), rest=True)
                return
            if isinstance(found, Malformed) and found.reason != NOT_UTF8:
                lines.refuse_several(found.reason)
            yield found


def _check_header(name: str, reader: "csv.DictReader[str]") -> None:
    try:
        names = list(reader.fieldnames or ())
    except csv.Error as error:
        raise UserError(
            f"{name}: the header line is not CSV ({error}). The first line must name the columns."
        ) from None
    if not names:
        raise UserError(f"{name} has no header line. The first line must name the columns.")
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise UserError(f'{name} has two columns called "{twice[0]}". Rename one in the header line.')


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


def _parquet(file: Readable) -> Iterator[Record | Malformed]:
    import pyarrow
    from pyarrow import parquet

    try:
        with file.open() as opened, parquet.ParquetFile(opened, pre_buffer=True) as table:
            before = 0
            for group in range(table.num_row_groups):
                yield from _row_group(table, group, before)
                before += table.metadata.row_group(group).num_rows
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's own
            raise
        reason = str(error).splitlines()[0]
        raise UserError(f"{file.name} is truncated or not Parquet ({reason}). Fetch it again.") from None


def _row_group(table: "parquet.ParquetFile", group: int, before: int) -> Iterator[Record | Malformed]:
    """The records of a row group; each that lies behind a damaged place is malformed."""
    import pyarrow

    position, last = before, before + table.metadata.row_group(group).num_rows
    try:
        for batch in table.iter_batches(batch_size=4096, row_groups=[group]):
            yield from _parquet_records(batch, position)
            position += batch.num_rows
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = re.sub(r"\d+", "N", str(error).splitlines()[0])
        reason = f"not Parquet: {said}"
        yield from (Malformed(place, reason, "") for place in range(position + 1, last + 1))


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


READERS: Mapping[str, Callable[[Readable], Iterator[Record | Malformed]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
