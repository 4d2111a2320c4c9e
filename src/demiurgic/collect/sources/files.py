"""Rows out of files that people have: jsonl, json, csv, parquet, plain or packed; by format, columns or our schema."""

from collections.abc import Iterator
from pathlib import Path

from demiurgic.collect.columns import Columns
from demiurgic.collect.paths import find_files
from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.collect.to_rows import FormatOption, Reading, format_versions
from demiurgic.core.files.readers import read_records
from demiurgic.core.hashing import digest_file
from demiurgic.core.metric import JSON
from demiurgic.core.records import Row


def _fingerprint(base: Path, *, paths: list[str], format: FormatOption, **_options: object) -> JSON:
    digests: dict[str, JSON] = {name: digest_file(path) for name, path in find_files(paths, base=base).items()}
    versions = format_versions(format)
    return {"files": digests, "formats": versions} if versions else digests


@SOURCES.register("files", fingerprint=_fingerprint)
def files(
    base: Path,
    *,
    paths: list[str],
    format: FormatOption = None,
    columns: Columns | None = None,
    keep: tuple[str, ...] = (),
    name: str = "",
    license: str = "",
    domain: str = "",
    teacher: str = "",
) -> Iterator[Row | BadRow]:
    """Rows of jsonl, json, csv and parquet files, plain, .gz or .zst, by `format`, by `columns` or in our own schema.

    `format: auto` tells it by the first records of each file. `name` begins every id and is the rows' source, the file
    is without it. `license`, `domain` and `teacher` stand in where a row names none; `keep` names fields that go into a
    row's meta.
    """
    reading = Reading(format, columns, keep, name=name, license=license, domain=domain, teacher=teacher)
    given_ids: set[str] = set()
    for file, path in find_files(paths, base=base).items():
        yield from reading.rows(read_records(path), file=file, shown=str(path), given_ids=given_ids)
