"""Some rows of a dataset, drawn evenly and read in order; and all of them as the texts that copies are sought in.

N rows in all, S of them drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Dataset
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.statistics.labels import label_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Places = np.ndarray[Any, np.dtype[np.int64]]

BATCH = 4096
REPEAT_OF = "repeat_of"
"""The key by which a mix says that a row is there once more on purpose."""


def batches(data: Dataset, columns: list[str] | None = None) -> "Iterator[pyarrow.RecordBatch]":
    from pyarrow import parquet

    for shard in sorted(data.path.glob("rows-*.parquet")):
        with parquet.ParquetFile(shard) as file:
            yield from file.iter_batches(batch_size=BATCH, columns=columns)


def draw(data: Dataset, *, size: int, random: "np.random.Generator") -> "tuple[Places, RowBatch]":
    """The numbers of up to `size` rows, rising, and the rows."""
    import numpy as np
    import pyarrow as pa

    number_S = np.sort(random.choice(data.num_rows, size=min(size, data.num_rows), replace=False))
    taken, first = [], 0
    for batch in batches(data):
        low, high = np.searchsorted(number_S, (first, first + len(batch)))
        if high > low:
            taken.append(batch.take(pa.array(number_S[low:high] - first)))
        first += len(batch)
    return number_S, RowBatch(pa.Table.from_batches(taken).combine_chunks().to_batches()[0])


@dataclass(frozen=True)
class Said:
    """All that each row of a dataset says, as often as it is asked for; rows repeated on purpose say nothing here."""

    data: Dataset

    @property
    def num_documents(self) -> int:
        return self.data.num_rows

    def batches(self) -> "Iterator[pyarrow.Array]":
        import pyarrow.compute as pc

        for batch in batches(self.data, ["messages", "text", "meta"]):
            yield pc.if_else(label_of(batch.column("meta"), REPEAT_OF).is_valid(), "", RowBatch(batch).whole)
