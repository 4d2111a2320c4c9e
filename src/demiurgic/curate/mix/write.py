"""Writes the rows of a mix in a random order, without holding them: into heaps on disk first, then heap by heap sorted.

Knows which rows and how often, not why. N rows, C copies of them in the mix, each with a place in its order.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.records import ROWS_PER_SHARD, arrow_schema
from demiurgic.core.row_columns import as_json, with_columns, with_key
from demiurgic.curate.mix.survey import hashes_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Numbers = np.ndarray[Any, np.dtype[np.int64]]
    Hashes = np.ndarray[Any, np.dtype[np.uint64]]

PLACE = "_place"
HEAP_BYTES = 500_000_000
MOST_HEAPS = 512
"""Files open at once; a mix of more than 25 million rows gets larger shards."""


@dataclass(frozen=True)
class Order:
    """Where the copies of each row go: those of row i are `places_C[starts_N1[i]:starts_N1[i + 1]]`."""

    starts_N1: "Numbers"
    places_C: "Numbers"

    @classmethod
    def drawn(cls, times_N: "np.ndarray[Any, np.dtype[np.int32]]", *, random: "np.random.Generator") -> "Order":
        import numpy as np

        starts = np.concatenate(([0], np.cumsum(times_N, dtype=np.int64)))
        return cls(starts, random.permutation(starts[-1]))

    @property
    def num_copies(self) -> int:
        return len(self.places_C)


def num_heaps(num_copies: int, *, num_bytes: int) -> int:
    """So many that each holds a shard's rows, and fewer where long rows fill the memory meant for one."""
    return max(1, min(MOST_HEAPS, max(-(-num_copies // ROWS_PER_SHARD), -(-num_bytes // HEAP_BYTES))))


def write_mixed(
    batches: "Iterable[pyarrow.RecordBatch]", order: Order, folder: Path, *, heaps: int, id_hash_N: "Hashes"
) -> None:
    """Write the copies as Parquet shards, in their order; `batches` are all N rows.

    `id_hash_N` are hashes of the rows' ids. A row's second copy gets the id `ID#2` and names the row (`repeat_of`) in
    its meta. Raises UserError where another row has that id already.
    """
    import numpy as np

    taken = np.sort(id_hash_N)
    folder.mkdir(parents=True, exist_ok=True)
    bounds = np.linspace(0, order.num_copies, heaps + 1).astype(np.int64)
    paths = [folder / f"heap-{number}.arrow" for number in range(heaps)]
    with ExitStack() as stack:
        files = [_Heap(path, stack) for path in paths]
        for copies in _copies(batches, order, taken):
            heap_C = np.searchsorted(bounds, copies.column(PLACE).to_numpy(), side="right") - 1
            for number in np.unique(heap_C).tolist():
                files[number].write(copies.take(np.flatnonzero(heap_C == number)))
    for number, path in enumerate(paths):
        _write_sorted(path, folder / f"rows-{number:05d}.parquet")


def _copies(batches: "Iterable[pyarrow.RecordBatch]", order: Order, taken: "Hashes") -> "Iterator[pyarrow.RecordBatch]":
    """The copies of each batch's rows, in the order of the rows, with their places."""
    import numpy as np
    import pyarrow as pa

    first = 0
    for batch in batches:
        starts = order.starts_N1[first : first + len(batch) + 1]
        rows = np.repeat(np.arange(len(batch)), np.diff(starts))
        numbers = np.arange(len(rows)) - (starts[rows] - starts[0]) + 1
        places = order.places_C[starts[0] : starts[-1]]
        first += len(batch)
        if len(rows):
            named = _named(batch.take(pa.array(rows)), numbers, taken)
            yield pa.RecordBatch.from_arrays([*named.columns, pa.array(places)], names=[*named.schema.names, PLACE])


def _named(batch: "pyarrow.RecordBatch", number_N: "Numbers", taken: "Hashes") -> "pyarrow.RecordBatch":
    """Copies under ids of their own, so that every row of a dataset still has one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if (number_N == 1).all():
        return batch
    again = pa.array(number_N > 1)
    ids = batch.column("id")
    renamed = pc.binary_join_element_wise(ids, pa.array(number_N).cast(pa.string()), "#")
    _refuse_taken(renamed.filter(again), taken)
    original = pc.if_else(again, as_json(ids), pa.scalar(None, pa.string()))
    meta = with_key(batch.column("meta"), "repeat_of", original)
    return with_columns(batch, id=pc.if_else(again, renamed, ids), meta=meta)


def _refuse_taken(ids: "pyarrow.Array", taken: "Hashes") -> None:
    import numpy as np

    hashes = hashes_of(ids)
    places = np.minimum(np.searchsorted(taken, hashes), len(taken) - 1)
    clashes = np.flatnonzero(taken[places] == hashes)
    if len(clashes):
        raise UserError(
            f"mix: the copy of a row would be called {ids[int(clashes[0])].as_py()}, and another row of the data is, "
            "as after an earlier mix that repeated rows. Mix all the data in one step, or leave max_epochs at 1."
        )


class _Heap:
    """A file of batches, opened by the first."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path = path
        self._stack = stack
        self._writer: Any = None

    def write(self, batch: "pyarrow.RecordBatch") -> None:
        import pyarrow as pa

        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            sink = self._stack.enter_context(pa.OSFile(str(self._path), "wb"))
            self._writer = self._stack.enter_context(pa.ipc.new_stream(sink, batch.schema, options=options))
        self._writer.write_batch(batch)


def _write_sorted(heap: Path, shard: Path) -> None:
    """Write one heap in order and remove it; one that nothing fell into is a shard without rows."""
    import pyarrow as pa
    from pyarrow import parquet

    table = arrow_schema().empty_table()
    if heap.exists():
        with pa.OSFile(str(heap), "rb") as source:
            table = pa.ipc.open_stream(source).read_all()
        table = table.sort_by(PLACE).drop_columns([PLACE])
        heap.unlink()
    parquet.write_table(table, shard, compression="zstd")


class ShardWriter:
    """Writes batches in order as shards; used as a context manager. Without rows it is one shard without rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._num_shards = 0
        self._in_shard = 0
        self.num_rows = 0

    def __enter__(self) -> "ShardWriter":
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, batch: "pyarrow.RecordBatch") -> None:
        if self._in_shard >= ROWS_PER_SHARD:
            self._close()
        if self._writer is None:
            self._open()
        self._writer.write_batch(batch)
        self._in_shard += len(batch)
        self.num_rows += len(batch)

    def _open(self) -> None:
        from pyarrow import parquet

        path = self._folder / f"rows-{self._num_shards:05d}.parquet"
        self._writer = parquet.ParquetWriter(path, arrow_schema(), compression="zstd")
        self._num_shards += 1
        self._in_shard = 0

    def _close(self) -> None:
        self._writer.close()
        self._writer = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if kind is None and not self._num_shards:
            self._open()
        if self._writer is not None:
            self._close()
