"""What a mix must know of every row before it chooses: its group, its source, its length, the hash of its id. N rows.

Text is read once and not kept: some 30 bytes a row are.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Dataset
from demiurgic.core.errors import UserError, unknown
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.statistics.labels import label_of
from demiurgic.curate.statistics.statistics import UNNAMED
from demiurgic.text.tokens import estimated_tokens
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Places = np.ndarray[Any, np.dtype[np.int32]]

OWN = ("domain", "source", "license", "teacher")
"""Fields of a row itself; everything else is looked up in its meta."""
BATCH = 8192


@dataclass(frozen=True)
class Survey:
    """Of all rows, in order of the data."""

    group_N: "Places"
    groups: tuple[str, ...]
    source_N: "Places"
    sources: tuple[str, ...]
    id_hash_N: "np.ndarray[Any, np.dtype[np.uint64]]"
    tokens_N: "np.ndarray[Any, np.dtype[np.int64]] | None"
    """Estimated, at least 1; None where no one asked."""
    repeats_id_N: "np.ndarray[Any, np.dtype[np.bool_]]"
    """The rows that have the id of an earlier one."""


def batches(data: Sequence[Dataset], columns: Sequence[str] | None = None) -> Iterator["pyarrow.RecordBatch"]:
    """The rows of all datasets, in order; of `columns`, when given, and only those are read."""
    from pyarrow import parquet

    for dataset in data:
        for shard in sorted(dataset.path.glob("rows-*.parquet")):
            with parquet.ParquetFile(shard) as file:
                yield from file.iter_batches(batch_size=BATCH, columns=None if columns is None else list(columns))


def survey(data: Sequence[Dataset], *, by: str, with_tokens: bool) -> Survey:
    """Read every row's group. Raises UserError when no row says what `by` asks for, or there is no row at all."""
    import numpy as np

    columns = {"id", "source", by if by in OWN else "meta", *(("messages", "text") if with_tokens else ())}
    groups, sources = _Names(), _Names()
    hashes, tokens = [], []
    for batch in batches(data, sorted(columns)):
        groups.add(batch.column(by) if by in OWN else label_of(batch.column("meta"), by))
        sources.add(batch.column("source"))
        hashes.append(hashes_of(batch.column("id")))
        if with_tokens:
            tokens.append(np.maximum(estimated_tokens(Texts.of(RowBatch(batch).whole)), 1))
    hash_N = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)
    if not len(hash_N):
        raise UserError("mix: the data has no rows. Look at what the steps before it dropped, and why.")
    if set(groups.names) <= {UNNAMED}:
        if by in OWN:
            hint = "Name another field with by, or let an earlier step write it (`demiurgic list filters`)."
            raise UserError(f"mix: no row says its {by}. {hint}")
        raise UserError(f"mix: {unknown('field of rows', by, _fields(data))} No row says its {by}.")
    return Survey(
        groups.places, tuple(groups.names), sources.places, tuple(sources.names), hash_N,
        np.concatenate(tokens) if with_tokens else None, _repeats(data, hash_N),
    )  # fmt: skip


class _Names:
    """Numbers names as they come."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self._found: list[Any] = []

    def add(self, column: "pyarrow.Array") -> None:
        import numpy as np

        coded = column.fill_null("").dictionary_encode()
        places = [self.names.setdefault(name or UNNAMED, len(self.names)) for name in coded.dictionary.to_pylist()]
        self._found.append(np.array(places, np.int32)[coded.indices.to_numpy()])

    @property
    def places(self) -> "Places":
        import numpy as np

        return np.concatenate(self._found)


def hashes_of(ids: "pyarrow.Array") -> "np.ndarray[Any, np.dtype[np.uint64]]":
    """64 bits of each id: equal ids, equal numbers."""
    import numpy as np

    from demiurgic.text.kernels.murmur import hash_runs

    texts = Texts.of(ids)
    hashes_N2 = np.zeros((len(texts), 2), np.uint64)
    hash_runs(texts.bytes_B, texts.offsets_N1, np.uint64(0), hashes_N2)
    return hashes_N2[:, 0].copy()


def _repeats(data: Sequence[Dataset], hash_N: "np.ndarray[Any, np.dtype[np.uint64]]") -> Any:
    """Rows whose id an earlier row has; equal hashes are only a reason to look at the ids themselves."""
    import numpy as np

    repeats = np.zeros(len(hash_N), np.bool_)
    values, counts = np.unique(hash_N, return_counts=True)
    suspects = np.isin(hash_N, values[counts > 1])
    if not suspects.any():
        return repeats
    seen: set[str] = set()
    first = 0
    for batch in batches(data, ["id"]):
        for row in np.flatnonzero(suspects[first : first + len(batch)]).tolist():
            id = batch.column("id")[row].as_py()
            repeats[first + row] = id in seen
            seen.add(id)
        first += len(batch)
    return repeats


def _fields(data: Sequence[Dataset]) -> set[str]:
    """The fields that the first rows have, for a person who named another."""
    first = next(batches(data, ["meta"]))
    return {*OWN, *(key for meta in first.column("meta").to_pylist() for key in json.loads(meta))}
