"""Puts all rows before the filters, a slice of the data at a time, in worker processes, and leaves them in a spill.

A slice is cut by row counts alone, so neither the number of workers nor their speed shows in the result. Knows nothing
of duplicates or splits. N rows.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Dataset
from demiurgic.core.console import Console
from demiurgic.core.registry import Choice
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.chosen import as_text, from_text
from demiurgic.curate.duplicates.said import hash_texts, said_hashes
from demiurgic.curate.filters import KEPT
from demiurgic.curate.in_threads import in_threads
from demiurgic.curate.judge import Account, Judged, Why, add_seconds, judge
from demiurgic.curate.row_fields import OWN, field_of, refuse_unseen
from demiurgic.curate.spill import EVIDENCE, Slice, Spill, write_batches
from demiurgic.run.engine import Engine, usable_cores

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

SLICE_ROWS = 10_000
BATCH_BYTES = 64_000_000
"""Text in memory at once, per process: of slices with long rows a part is judged at a time."""
WORTH_PROCESSES = 30_000
"""Rows from which processes pay: starting two takes one or two seconds, the usual filters some 50 µs a row."""
READING, SPILLING = "reading", "spilling"


@dataclass(frozen=True)
class Piece:
    """Some row groups of one Parquet shard."""

    path: Path
    row_groups: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """One slice to be judged."""

    number: int
    data: int
    """Which dataset it is of."""
    pieces: tuple[Piece, ...]
    num_rows: int
    num_bytes: int


@dataclass(frozen=True)
class Report:
    """What a worker found in one slice; the rows themselves lie in `path`."""

    path: Path
    data: int
    reason_N: "np.ndarray[Any, np.dtype[np.int16]]"
    source_N: "np.ndarray[Any, np.dtype[np.int32]]"
    sources: tuple[str, ...]
    id_hash_N: "np.ndarray[Any, np.dtype[np.uint64]]"
    said_N2: "np.ndarray[Any, np.dtype[np.uint64]]"
    account: Account
    fields: frozenset[str]
    """The wanted keys of meta that some row has."""


@dataclass(frozen=True)
class Passed:
    """All rows after the filters. The places of `whys` are the numbers in the spill's `reason_N`."""

    spill: Spill
    whys: tuple[Why, ...]
    counts: Mapping[tuple[str, str], int]
    tagged: Mapping[tuple[str, str], int]
    cpu_seconds: Mapping[str, float]


def row_pass(
    data: Sequence[Dataset], *, filters: Sequence[Choice], folder: Path, base: Path, engine: Engine, console: Console
) -> Passed:
    """Judge all rows of all datasets; the slices are written into `folder`.

    Raises UserError when a filter looks at a field that no row has.
    """
    tasks = list(tasks_of(data))
    num_rows = sum(task.num_rows for task in tasks)
    wanted = fields_read(filters)
    work = partial(judge_slice, filters=as_text(filters), wanted=wanted, folder=folder, base=base)
    reports: list[Report] = []
    with console.progress("filtering rows", total=num_rows) as progress:
        for report in _over(tasks, work, engine, filtered=bool(filters), num_rows=num_rows):
            reports.append(report)
            progress.advance(len(report.reason_N))
    passed = _merged(reports, base=base)
    if num_rows:
        seen = {name for report in reports for name in report.fields}
        if set(wanted) - seen:
            refuse_unseen(wanted, seen, _keys(passed.spill))
    return passed


def _over(
    tasks: Sequence[Task], work: Callable[[Task], Report], engine: Engine, *, filtered: bool, num_rows: int
) -> Iterator[Report]:
    """In processes where filters have rows enough to judge, for these may hold the interpreter's lock. What is left
    without filters does not: threads then do the same, and need not be started.
    """
    if not filtered:
        return in_threads(work, tasks, threads=engine.workers or usable_cores())
    return engine.map(work, tasks, worth_processes=num_rows > WORTH_PROCESSES)


def tasks_of(data: Sequence[Dataset]) -> Iterator[Task]:
    """Slices in order: as many row groups, of one dataset, as make at most SLICE_ROWS rows, and at least one."""
    from pyarrow import parquet

    number = 0
    for place, dataset in enumerate(data):
        pieces: list[Piece] = []
        rows = size = 0
        for path in sorted(dataset.path.glob("rows-*.parquet")):
            metadata = parquet.read_metadata(path)
            for group in range(metadata.num_row_groups):
                found = metadata.row_group(group)
                if rows and rows + found.num_rows > SLICE_ROWS:
                    yield Task(number, place, _joined(pieces), rows, size)
                    number, pieces, rows, size = number + 1, [], 0, 0
                pieces.append(Piece(path, (group,)))
                rows, size = rows + found.num_rows, size + found.total_byte_size
        if rows:
            yield Task(number, place, _joined(pieces), rows, size)
            number += 1


def _joined(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    groups: dict[Path, tuple[int, ...]] = {}
    for piece in pieces:
        groups[piece.path] = (*groups.get(piece.path, ()), *piece.row_groups)
    return tuple(Piece(path, found) for path, found in groups.items())


def fields_read(filters: Sequence[Choice]) -> tuple[str, ...]:
    """The keys of meta that filters look at by name."""
    options = ((choice, choice.entry.facts.get("reads")) for choice in filters)
    return tuple(str(getattr(choice.options, str(option))) for choice, option in options if option)


def judge_slice(task: Task, *, filters: str, wanted: Sequence[str], folder: Path, base: Path) -> Report:
    """Judge one slice and write it down. Runs in any process."""
    import numpy as np

    account, judged = Account(), list[Judged]()
    sources: dict[str, int] = {}
    source_N, id_hash_N, said_N2 = [np.zeros(0, np.int32)], [np.zeros(0, np.uint64)], [np.zeros((0, 2), np.uint64)]
    fields = set[str]()
    started = time.thread_time()
    for batch in _batches(task):
        found = judge(RowBatch(batch, base), filters=from_text(filters), account=account)
        judged.append(found)
        source_N.append(_coded(found.rows.column("source"), sources))
        id_hash_N.append(hash_texts(found.rows.column("id"))[:, 0])
        said_N2.append(_said(found))
        fields |= _found(RowBatch(found.rows), wanted, fields)
    account.cpu_seconds[READING] = time.thread_time() - started - sum(account.cpu_seconds.values())
    started = time.thread_time()
    path = folder / f"slice-{task.number:06d}.arrow"
    write_batches(path, [_with_evidence(found) for found in judged])
    account.cpu_seconds[SPILLING] = time.thread_time() - started
    reason_N = np.concatenate([found.reason_N for found in judged])
    return Report(
        path, task.data, reason_N, np.concatenate(source_N), tuple(sources), np.concatenate(id_hash_N),
        np.concatenate(said_N2), account, frozenset(fields),
    )  # fmt: skip


def _batches(task: Task) -> Iterator["pyarrow.RecordBatch"]:
    from pyarrow import parquet

    most = max(1, min(SLICE_ROWS, BATCH_BYTES * task.num_rows // max(task.num_bytes, 1)))
    for piece in task.pieces:
        with parquet.ParquetFile(piece.path) as file:
            yield from file.iter_batches(batch_size=most, row_groups=list(piece.row_groups), use_threads=False)


def _coded(column: "pyarrow.Array", names: dict[str, int]) -> "np.ndarray[Any, np.dtype[np.int32]]":
    """Per row the place of its name in `names`, which grows."""
    import numpy as np

    coded = column.fill_null("").dictionary_encode()
    places = [names.setdefault(name, len(names)) for name in coded.dictionary.to_pylist()]
    found: np.ndarray[Any, np.dtype[np.int32]] = np.array(places, np.int32)[coded.indices.to_numpy()]
    return found


def _said(judged: Judged) -> "np.ndarray[Any, np.dtype[np.uint64]]":
    """Zeros for rows that were dropped."""
    import numpy as np

    kept_N = judged.reason_N == KEPT
    said_N2 = np.zeros((len(kept_N), 2), np.uint64)
    said_N2[kept_N] = said_hashes(RowBatch(judged.rows).filter(kept_N))
    return said_N2


def _found(rows: RowBatch, wanted: Sequence[str], known: set[str]) -> set[str]:
    looked = set(wanted) - known - set(OWN)
    return {name for name in looked if field_of(rows, name).null_count < len(rows)}


def _with_evidence(judged: Judged) -> "pyarrow.RecordBatch":
    import pyarrow as pa

    evidence: list[str | None] = [None] * judged.rows.num_rows
    for row, said in judged.evidence.items():
        evidence[row] = said
    return judged.rows.append_column(EVIDENCE, pa.array(evidence, pa.string()))


def _merged(reports: Sequence[Report], *, base: Path) -> Passed:
    import numpy as np

    whys: dict[Why, int] = {}
    sources: dict[str, int] = {}
    slices: list[Slice] = []
    reasons, named, data, id_hashes = ([np.zeros(0, kind)] for kind in (np.int16, np.int32, np.int16, np.uint64))
    said = [np.zeros((0, 2), np.uint64)]
    counts, tagged, cpu_seconds = Counter[tuple[str, str]](), Counter[tuple[str, str]](), dict[str, float]()
    for report in reports:
        num_rows = len(report.reason_N)
        slices.append(Slice(report.path, slices[-1].first + slices[-1].num_rows if slices else 0, num_rows))
        # The last place is of rows that stay: -1 counts from the end.
        new_reasons = [*(whys.setdefault(why, len(whys)) for why in report.account.whys), -1]
        reasons.append(np.array(new_reasons, np.int16)[report.reason_N])
        places = [sources.setdefault(name, len(sources)) for name in report.sources]
        named.append(np.array(places, np.int32)[report.source_N])
        data.append(np.full(num_rows, report.data, np.int16))
        id_hashes.append(report.id_hash_N)
        said.append(report.said_N2)
        counts.update(report.account.counts)
        tagged.update(report.account.tagged)
        add_seconds(cpu_seconds, report.account.cpu_seconds)
    spill = Spill(
        slices, np.concatenate(reasons), tuple(why.reason for why in whys), np.concatenate(named), tuple(sources),
        np.concatenate(data), np.concatenate(id_hashes), np.concatenate(said), base,
    )  # fmt: skip
    return Passed(spill, tuple(whys), counts, tagged, cpu_seconds)


def _keys(spill: Spill) -> set[str]:
    """The keys that stand in the meta of the first rows, to name when one is looked for in vain."""
    import json

    for _, rows in spill.batches(["meta"]):
        metas = rows.column("meta")[:1000].to_pylist()
        return {key for meta in metas for key, value in json.loads(meta).items() if value is not None}
    return set()
