"""The rows after the filters, on disk, in order, to be read as often as a rule needs. Knows neither rules nor parts.

One Arrow file (IPC) per slice of the data, not compressed: it is read several times and soon deleted. N rows in all,
those that a filter dropped included; a row is known by its number. Text stays on disk: only a few bytes per row are
kept in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.row_batch import RowBatch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

EVIDENCE = "_evidence"
"""The column beside the row's own: what a filter found in a row that it dropped, null in all others."""


@dataclass(frozen=True)
class Slice:
    """Some consecutive rows, in one file."""

    path: Path
    first: int
    """The number of its first row."""
    num_rows: int


@dataclass(frozen=True)
class Spill:
    """All N rows. `reason_N` is the place in `reasons` of why a filter dropped a row, -1 where none did."""

    slices: Sequence[Slice]
    reason_N: "np.ndarray[Any, np.dtype[np.int16]]"
    reasons: tuple[str, ...]
    source_N: "np.ndarray[Any, np.dtype[np.int32]]"
    """Per row the place in `sources` of its field `source`."""
    sources: tuple[str, ...]
    data_N: "np.ndarray[Any, np.dtype[np.int16]]"
    """Per row which of the datasets, in the order of the recipe, it comes from."""
    id_hash_N: "np.ndarray[Any, np.dtype[np.uint64]]"
    """64 bits of each row's id: equal ids, equal numbers."""
    said_N2: "np.ndarray[Any, np.dtype[np.uint64]]"
    """128 bits of what each row says (`duplicates/said.py`); zeros where a filter dropped it."""
    base: Path = Path()

    @property
    def num_rows(self) -> int:
        return len(self.reason_N)

    @property
    def kept_N(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """False where a filter dropped the row."""
        return self.reason_N < 0

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, RowBatch]]:
        """All rows in order, dropped ones too: the number of the first row of a batch, and the batch.

        With `columns`, only those are read and there.
        """
        for each in self.slices:
            yield from self.read(each, columns=columns)

    def read(self, part: Slice, *, columns: Sequence[str] | None = None) -> Iterator[tuple[int, RowBatch]]:
        """The rows of one slice, as `batches` gives those of all."""
        first = part.first
        for batch in read_batches(part.path, columns=columns):
            yield first, RowBatch(batch, self.base)
            first += batch.num_rows

    def ids(self, rows: "np.ndarray[Any, np.dtype[np.int64]]") -> "pyarrow.Array":
        """The ids of some rows, whose numbers must rise."""
        import numpy as np
        import pyarrow as pa

        found = []
        for each in self.slices:
            low, high = np.searchsorted(rows, (each.first, each.first + each.num_rows))
            if low == high:
                continue
            ids = pa.chunked_array([batch.column("id") for _, batch in self.read(each, columns=["id"])])
            found.append(ids.take(pa.array(rows[low:high] - each.first)).combine_chunks())
        return pa.concat_arrays(found) if found else pa.array([], pa.string())


def write_batches(path: Path, batches: Sequence["pyarrow.RecordBatch"]) -> None:
    """Write batches of one schema (at least one) into an Arrow file."""
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def read_batches(path: Path, *, columns: Sequence[str] | None = None) -> Iterator["pyarrow.RecordBatch"]:
    """The batches of such a file; of `columns`, when given, and only those are looked at."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        schema = pa.ipc.open_file(source).schema
        wanted = None if columns is None else [schema.get_field_index(name) for name in columns]
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False))
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
