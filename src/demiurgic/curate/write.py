"""Writes the parts of a curation, a slice at a time in threads, and measures rows while they are at hand.

One Parquet shard per slice and part, in order; every part has at least one. N rows.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.console import Console
from demiurgic.core.records import ROWS_PER_GROUP, arrow_schema
from demiurgic.core.row_batch import RowBatch
from demiurgic.core.row_columns import with_columns, with_key
from demiurgic.curate.fates import Fates, Witnesses
from demiurgic.curate.in_threads import in_threads
from demiurgic.curate.judge import add_seconds
from demiurgic.curate.spill import EVIDENCE, Slice
from demiurgic.curate.statistics import Tally

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

DROPPED = "dropped"


@dataclass
class Written:
    """What the writing measured."""

    tally: Tally = field(default_factory=Tally)
    num_rows: int = 0
    cpu_seconds: dict[str, float] = field(default_factory=dict)


def write_parts(
    fates: Fates,
    side_N: "np.ndarray[Any, np.dtype[np.int8]]",
    out: Path,
    *,
    sides: Sequence[str],
    threads: int,
    console: Console,
) -> Written:
    """Write the rows that stay to the part that `side_N` (a place in `sides`) says, and the others to `dropped`."""
    for part in (*sides, DROPPED):
        (out / part).mkdir()
    made = Written()
    writer = _Writer(fates, side_N, tuple(sides), out, fates.witnesses(), fates.rule_N)
    with console.progress("writing rows", total=fates.spill.num_rows) as progress:
        for done in in_threads(writer.write, list(enumerate(fates.spill.slices)), threads=threads):
            made.tally += done.tally
            made.num_rows += done.num_rows
            add_seconds(made.cpu_seconds, done.cpu_seconds)
            progress.advance(done.num_rows)
    for part in (*sides, DROPPED):
        if not any((out / part).iterdir()):
            _write(out / part, 0, [])
    return made


@dataclass(frozen=True)
class _Writer:
    fates: Fates
    side_N: "np.ndarray[Any, np.dtype[np.int8]]"
    sides: tuple[str, ...]
    out: Path
    witnesses: Witnesses
    rule_N: "np.ndarray[Any, np.dtype[np.int64]]"

    def write(self, numbered: tuple[int, Slice]) -> Written:
        """Write the shards of one slice."""
        number, each = numbered
        found, started = Written(num_rows=each.num_rows), time.thread_time()
        parts: dict[str, list[pyarrow.RecordBatch]] = {}
        for first, rows in self.fates.spill.read(each):
            batch = self._with_reasons(first, rows)
            add_seconds(found.cpu_seconds, {"writing": time.thread_time() - started})
            started = time.thread_time()
            fate_N = self._measure(first, batch, found.tally)
            add_seconds(found.cpu_seconds, {"statistics": time.thread_time() - started})
            started = time.thread_time()
            for place, side in enumerate(self.sides):
                _choose(batch, fate_N == place, parts.setdefault(side, []))
            _choose(batch, fate_N >= len(self.sides), parts.setdefault(DROPPED, []))
        for part, batches in parts.items():
            if batches:
                _write(self.out / part, number, batches)
        add_seconds(found.cpu_seconds, {"writing": time.thread_time() - started})
        return found

    def _with_reasons(self, first: int, rows: RowBatch) -> "pyarrow.RecordBatch":
        said = self.fates.said(first, rows.column(EVIDENCE), self.witnesses)
        batch = rows.batch.select(arrow_schema().names)
        return (
            with_columns(batch, meta=with_key(batch.column("meta"), DROPPED, said))
            if said.null_count < len(said)
            else batch
        )

    def _measure(self, first: int, batch: "pyarrow.RecordBatch", tally: Tally) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Add the rows to the statistics; returns for each its place among all sides and, after them, all rules."""
        import numpy as np

        span = slice(first, first + batch.num_rows)
        rule_N = self.rule_N[span]
        fate_N = np.where(rule_N < 0, self.side_N[span].astype(np.int64), rule_N + len(self.sides))
        tally.add(RowBatch(batch, self.fates.spill.base), [*self.sides, *self.fates.rules], fate_N)
        return fate_N


def _choose(batch: "pyarrow.RecordBatch", chosen_N: Any, found: "list[pyarrow.RecordBatch]") -> None:
    import pyarrow as pa

    if chosen_N.all():
        found.append(batch)
    elif chosen_N.any():
        found.append(batch.filter(pa.array(chosen_N)))


def _write(folder: Path, number: int, batches: "Sequence[pyarrow.RecordBatch]") -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_batches(batches, schema=arrow_schema())
    path = folder / f"rows-{number:06d}.parquet"
    parquet.write_table(table, path, compression="zstd", row_group_size=ROWS_PER_GROUP)
