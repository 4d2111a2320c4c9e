"""Token ids packed into windows of one length, in memory and on disk. Knows nothing of text, tokenizers or models.

A *piece* is a row, or the part of one that fits a window; each piece is a document of its own, which attends to
nothing before it, and whose first token is predicted from nothing and so has weight 0.

A `tokens` folder holds N windows of T tokens:

    ids.npy        uint32  [N,T]
    weights.npy    float16 [N,T]  loss weight of the token as a target predicted from the one before it
    documents.npy  uint16  [N,T]  number of the document within the window from 1; 0 is padding
    rows.parquet   row (its id), window, start, end: where each piece lies, rows in their packing order
    tokens.json    length, vocab_size, tokenizer_digest, dialect, counts
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.models.packing import Pieces, fit, stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from demiurgic.models.tokenizer import Encoded

Packing = Literal["stream", "fit"]
"""`stream` cuts rows where a window ends and pads nothing but the last window; `fit` keeps rows whole."""

MAX_WEIGHT = 65504.0
"""The largest float16."""
MIN_WEIGHT = 2.0**-24
"""The smallest float16 above 0."""
MAX_DOCUMENTS = 65535
"""The largest uint16."""


@dataclass(frozen=True)
class Batch:
    """Some windows, as arrays of their own."""

    ids_BT: "NDArray[np.int64]"
    weights_BT: "NDArray[np.float32]"
    documents_BT: "NDArray[np.int64]"
    windows_B: "NDArray[np.int64] | None" = None
    """Which windows of a tokens folder these are; None for others."""


@dataclass(frozen=True)
class EncodedRows:
    """Many encoded rows end to end: row i is `ids[offsets[i]:offsets[i + 1]]`, of R + 1 offsets."""

    ids: "NDArray[np.uint32]"
    weights: "NDArray[np.float16]"
    offsets: "NDArray[np.int64]"

    @classmethod
    def join(cls, rows: "Iterable[Encoded]") -> "EncodedRows":
        """Raises UserError for a weight that is not finite, too large to store, or so small that it would become 0."""
        import numpy as np

        ids, weights, lengths = [], [], [0]
        for row in rows:
            ids.append(np.asarray(row.ids, dtype=np.uint32))
            row_weights = np.asarray(row.weights, dtype=np.float64)
            if row_weights.size and not row_weights.max() <= MAX_WEIGHT:
                raise UserError(f"A message has the weight {row_weights.max():g}; wanted at most {MAX_WEIGHT:g}.")
            stored = row_weights.astype(np.float16)
            if (vanished := row_weights[(row_weights > 0) & (stored == 0)]).size:
                raise UserError(
                    f"A message has the weight {vanished[0]:g}; wanted 0, or at least {MIN_WEIGHT:g}: below that it "
                    "would be stored as 0 and train nothing."
                )
            weights.append(stored)
            lengths.append(len(row.ids))
        return cls(
            np.concatenate(ids) if ids else np.zeros(0, np.uint32),
            np.concatenate(weights) if weights else np.zeros(0, np.float16),
            np.cumsum(np.asarray(lengths, dtype=np.int64)),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> "NDArray[np.int64]":
        lengths: NDArray[np.int64] = self.offsets[1:] - self.offsets[:-1]
        return lengths

    def reordered(self, order: "NDArray[np.int64]") -> "EncodedRows":
        """The rows at the positions `order`, end to end."""
        import numpy as np

        lengths = self.lengths[order]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        index = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][order] - offsets[:-1], lengths)
        return EncodedRows(self.ids[index], self.weights[index], offsets)


@dataclass(frozen=True)
class Packed:
    """Windows in memory, and where each piece lies: `row`, `window`, `start`, `end`, in the order of the rows."""

    ids_NT: "NDArray[np.uint32]"
    weights_NT: "NDArray[np.float16]"
    documents_NT: "NDArray[np.uint16]"
    pieces: Pieces

    @property
    def counts(self) -> "Counts":
        import numpy as np

        windows, length = self.ids_NT.shape
        tokens = int(np.count_nonzero(self.documents_NT))
        return Counts(
            windows=windows,
            tokens=tokens,
            supervised=int(np.count_nonzero(self.weights_NT)),
            padding=windows * length - tokens,
            rows=int(np.unique(self.pieces.row).size),
            rows_cut=int(np.unique(self.pieces.row[self.pieces.offset > 0]).size),
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """What a tokens folder holds. `tokens` leaves out padding; `rows_cut` counts rows of more than one piece."""

    windows: int
    tokens: int
    supervised: int
    padding: int
    rows: int
    rows_cut: int


def pack(rows: "EncodedRows | Sequence[Encoded]", *, length: int, packing: Packing = "stream") -> Packed:
    """Pack encoded rows, in their order, into windows of `length` tokens.

    Every token of every row stands in exactly one window; its weight goes with it, unless it begins a piece.
    """
    import numpy as np

    joined = rows if isinstance(rows, EncodedRows) else EncodedRows.join(rows)
    place = stream if packing == "stream" else fit
    pieces = place(joined.lengths, length=length)
    num_windows = int(pieces.window.max()) + 1 if pieces.window.size else 0

    sizes = pieces.end - pieces.start
    first = np.cumsum(sizes) - sizes
    within = np.arange(int(sizes.sum())) - np.repeat(first, sizes)
    source = within + np.repeat(joined.offsets[:-1][pieces.row] + pieces.offset, sizes)
    target = within + np.repeat(pieces.window * length + pieces.start, sizes)

    ids = np.zeros(num_windows * length, np.uint32)
    weights = np.zeros(num_windows * length, np.float16)
    documents = np.zeros(num_windows * length, np.uint16)
    ids[target] = joined.ids[source]
    weights[target] = joined.weights[source]
    weights[pieces.window * length + pieces.start] = 0
    numbers = _document_numbers(pieces, num_windows=num_windows)
    documents[target] = np.repeat(numbers, sizes)
    shape = (num_windows, length)
    return Packed(ids.reshape(shape), weights.reshape(shape), documents.reshape(shape), pieces)


def _document_numbers(pieces: Pieces, *, num_windows: int) -> "NDArray[np.int64]":
    """The number of each piece within its window, from 1, left to right."""
    import numpy as np

    order = np.lexsort((pieces.start, pieces.window))
    per_window = np.bincount(pieces.window, minlength=num_windows)
    if per_window.size and per_window.max() > MAX_DOCUMENTS:
        raise UserError(
            f"A window would hold {per_window.max()} rows; wanted at most {MAX_DOCUMENTS}. Use shorter windows."
        )
    first_of_window = np.cumsum(per_window) - per_window
    numbers = np.empty(order.size, np.int64)
    numbers[order] = np.arange(order.size) - np.repeat(first_of_window, per_window) + 1
    return numbers


def write_windows(
    folder: Path, packed: Packed, *, row_ids: Sequence[str], vocab_size: int, tokenizer_digest: str, dialect: str
) -> None:
    """Write a tokens folder. `row_ids` are those of the rows that were packed, in the order they were packed in."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("ids", packed.ids_NT), ("weights", packed.weights_NT), ("documents", packed.documents_NT)):
        np.save(folder / f"{name}.npy", array)
    pieces = packed.pieces
    table = pa.table(
        {
            "row": pa.array(row_ids, pa.string()).take(pa.array(pieces.row)),
            "window": pa.array(pieces.window, pa.int32()),
            "start": pa.array(pieces.start, pa.int32()),
            "end": pa.array(pieces.end, pa.int32()),
        }
    )
    parquet.write_table(table, folder / "rows.parquet", compression="zstd")
    facts = {"length": packed.ids_NT.shape[1], "vocab_size": vocab_size, "tokenizer_digest": tokenizer_digest}
    write_text(
        folder / "tokens.json", json.dumps({**facts, "dialect": dialect, "counts": asdict(packed.counts)}, indent=1)
    )


@dataclass(frozen=True)
class Windows:
    """A tokens folder, memory-mapped."""

    folder: Path
    length: int
    vocab_size: int
    tokenizer_digest: str
    """sha256 of the tokenizer.json that made the ids; compare with `models.tokenizer.tokenizer_digest`."""
    dialect: str
    counts: Counts
    ids_NT: "NDArray[np.uint32]"
    weights_NT: "NDArray[np.float16]"
    documents_NT: "NDArray[np.uint16]"

    @classmethod
    def open(cls, folder: Path) -> "Windows":
        """Raises UserError when the folder does not hold tokens, or its arrays do not fit one another."""
        import numpy as np

        try:
            facts: dict[str, Any] = json.loads((folder / "tokens.json").read_text(encoding="utf-8"))
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("ids", "weights", "documents")}
            counts = Counts(**facts.pop("counts"))
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder} is not a folder of tokens ({error}). Point to the result of a tokenize step."
            ) from None
        shape = (counts.windows, facts["length"])
        if any(array.shape != shape for array in arrays.values()):
            raise UserError(f"{folder} is damaged: its arrays do not have the shape {shape}. Delete it and run again.")
        return cls(folder, counts=counts, **{f"{name}_NT": array for name, array in arrays.items()}, **facts)

    def __len__(self) -> int:
        return self.counts.windows

    def batch(self, indices: "Sequence[int] | NDArray[np.int64]") -> Batch:
        """Copies of the windows at `indices`, in that order."""
        import numpy as np

        index = np.asarray(indices, dtype=np.int64)
        return Batch(
            self.ids_NT[index].astype(np.int64),
            self.weights_NT[index].astype(np.float32),
            self.documents_NT[index].astype(np.int64),
            index,
        )
