"""Reads evaluation sets: jsonl, json, csv and parquet files, plain or packed, and datasets. Knows nothing of texts.

A set that cannot be read whole stops what wants it: what is not looked for is not found.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

from demiurgic.core.errors import UserError
from demiurgic.core.files.readers import READERS, read_records, suffix_of
from demiurgic.core.files.records import Malformed, Record
from demiurgic.core.hashing import digest_file
from demiurgic.text.contamination.forms import form_of, item_of
from demiurgic.text.contamination.item import Item

if TYPE_CHECKING:
    from demiurgic.core.artifacts import Dataset
    from demiurgic.core.metric import JSON
    from demiurgic.text.contamination.index import Index
    from demiurgic.text.contamination.scanner import Scanner

PATTERN = re.compile(r"[*?\[]")
LISTS = ("examples", "data", "questions", "problems")
"""Where a JSON file that holds one object has its records: BIG-Bench Hard calls them examples."""
MANY_INDEXES = 4
"""Kept in memory; some hundred megabytes each for tens of thousands of questions."""


def set_files(patterns: Sequence[str], *, base: Path) -> Mapping[str, Path]:
    """The files of evaluation sets by the name of the benchmark, in order of the patterns.

    A pattern is a path, a glob, or a folder: all files below it that can be read. A file is called after itself, one
    below a folder or glob also after the folders that lead to it (`bbh/snarks`).
    Raises UserError when a pattern matches nothing, or two files get one name.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        for name, path in _matches(pattern, base=base):
            if found.setdefault(name, path).resolve() != path.resolve():
                raise UserError(f"{found[name]} and {path} would both be called {name}. Name the folder above them.")
    return found


def digests_of(patterns: Sequence[str], *, base: Path) -> "dict[str, JSON]":
    """The sha256 of every file, by the name of the benchmark: what a result depends on."""
    return {name: digest_file(path) for name, path in set_files(patterns, base=base).items()}


def read_set(path: Path, *, benchmark: str, field: str | None = None) -> Iterator[Item]:
    """The questions of a file; `field` names the question where the form of the records is not known.

    Raises UserError for a file without records, one that is damaged, and records of no known form.
    """
    form = None
    for position, record in _records(path):
        where = f"{path}, record {position}"
        if form is None:
            form = form_of(record, where=where, field=field)
        yield item_of(record, form, benchmark=benchmark, position=position, where=where)
    if form is None:
        raise UserError(f"{path} holds no records. Give a file with questions.")


def read_dataset(dataset: "Dataset", *, benchmark: str) -> Iterator[Item]:
    """What the rows of a dataset ask: all before the last answer, or the text."""
    for row in dataset.rows():
        messages = row.messages[:-1] if row.messages and row.messages[-1].role == "assistant" else row.messages
        said = "\n".join(message.content for message in messages if message.role != "system")
        yield Item(benchmark, row.id, row.text if row.text is not None else said)


def scanner_of(
    files: Sequence[str],
    data: "Sequence[Dataset]",
    *,
    base: Path,
    n: int,
    template_items: int,
    coverage: float,
    fuzzy: float | None,
    field: str | None,
) -> "Scanner":
    """Looks for the questions of files and datasets; made once in a process for as long as the files stay as they are.

    Raises UserError as `read_set` and `build_index` do.
    """
    if not files and not data:
        raise UserError("There is nothing to look for: name evaluation sets with files: [...] or data: [...].")
    stats = [(name, path, path.stat()) for name, path in set_files(files, base=base).items()]
    known = tuple((name, path, stat.st_size, stat.st_mtime_ns) for name, path, stat in stats)
    folders = tuple(dict.fromkeys(dataset.path for dataset in data))
    return _scanner(known, folders, n, template_items, field, coverage, fuzzy)


_Known: TypeAlias = tuple[tuple[str, Path, int, int], ...]


@lru_cache(MANY_INDEXES)
def _scanner(
    files: _Known,
    data: tuple[Path, ...],
    n: int,
    template_items: int,
    field: str | None,
    coverage: float,
    fuzzy: float | None,
) -> "Scanner":
    from demiurgic.text.contamination.scanner import Scanner

    return Scanner(_index(files, data, n, template_items, field), coverage=coverage, fuzzy=fuzzy)


@lru_cache(MANY_INDEXES)
def _index(files: _Known, data: tuple[Path, ...], n: int, template_items: int, field: str | None) -> "Index":
    from demiurgic.core.artifacts import Dataset
    from demiurgic.text.contamination.index import build_index

    items = [item for name, path, *_ in files for item in read_set(path, benchmark=name, field=field)]
    for path in data:
        dataset = Dataset.open(path)
        items += read_dataset(dataset, benchmark=dataset.manifest.step)
    return build_index(items, n=n, template_items=template_items)


def _matches(pattern: str, *, base: Path) -> Iterator[tuple[str, Path]]:
    path = base / pattern
    if path.is_file():
        yield _benchmark(PurePath(path.name)), path
        return
    if path.is_dir():
        fixed, found = path.parent, _readable(path.rglob("*"))
    elif PATTERN.search(pattern):
        fixed, varying = _split(path)
        found = _readable(fixed.glob(varying))
    else:
        raise UserError(f"{path} does not exist. Check the path; relative paths start from the recipe's folder.")
    if not found:
        raise UserError(f"{path} holds no file of a known type ({', '.join(READERS)}). Check the path or pattern.")
    for file in found:
        yield _benchmark(file.relative_to(fixed)), file


def _readable(paths: Iterator[Path]) -> list[Path]:
    return sorted(path for path in paths if path.is_file() and suffix_of(path.name) in READERS)


def _split(path: PurePath) -> tuple[Path, str]:
    parts = path.parts
    first = next(place for place, part in enumerate(parts) if PATTERN.search(part))
    return Path(*parts[:first]), "/".join(parts[first:])


def _benchmark(path: PurePath) -> str:
    """A relative path without the suffix that says the type."""
    stem = path.name[: path.name.rindex(suffix_of(path.name))] if suffix_of(path.name) else path.name
    return path.with_name(stem).as_posix()


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    nested = _nested(path) if suffix_of(path.name) == ".json" else None
    found = enumerate(nested, start=1) if nested is not None else _flat(path)
    for position, value in found:
        if not isinstance(value, Mapping):
            raise UserError(f"{path}, record {position}: wanted an object with fields, found {type(value).__name__}.")
        yield position, value


def _flat(path: Path) -> Iterator[tuple[int, Any]]:
    for found in read_records(path):
        match found:
            case Malformed():
                raise UserError(
                    f"{path}, record {found.position} cannot be read: {found.reason}. Mend the file or fetch it again: "
                    "a question that is not read is not looked for."
                )
            case Record():
                yield found.position, found.value


def _nested(path: Path) -> list[Any] | None:
    """The records of a file that holds one object with a list of them; None for any other file."""
    if path.suffix != ".json":  # packed
        return None
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None  # the reader says what is wrong with it, and where
    lists = [value[name] for name in LISTS if isinstance(value.get(name), list)] if isinstance(value, dict) else []
    return lists[0] if len(lists) == 1 else None
