"""Tells rows apart by what they say: 128 bits a row, made in columns. N rows, M messages, C tool calls.

Coarser than `content_hash`: loss weights, reasoning and the ids of tool calls, which differ between copies of one
conversation, do not count. What counts: the text, the tools, and of each message (also of the rejected ones) the role,
the content, and the names and arguments of its tool calls.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

from demiurgic.core.row_batch import RowBatch
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Hashes: TypeAlias = "np.ndarray[Any, np.dtype[np.uint64]]"
    """[N, 2]: 128 bits each."""

SAID_COLUMNS = ("messages", "text", "tools", "rejected")
"""The columns of a batch that `said_hashes` reads."""


def said_hashes(rows: RowBatch) -> "Hashes":
    """`hashes_N2` (uint64): equal where two rows ask and answer the same; of two others, by odds of 2^-128."""
    import numpy as np

    text, tools = rows.column("text"), rows.column("tools")
    parts = [hash_texts(text), hash_texts(tools), _talks(rows.column("messages")), _talks(rows.column("rejected"))]
    # No text and an empty one are two things, and so are no tools and an empty list of none.
    there = [column.is_valid().to_numpy(zero_copy_only=False).astype(np.uint64)[:, None] for column in (text, tools)]
    return _folded(np.concatenate([*parts, *there], axis=1), np.arange(len(rows) + 1))


def hash_texts(texts: "pyarrow.Array") -> "Hashes":
    """128 bits of each text of an Arrow array; null counts as empty."""
    import pyarrow as pa

    from demiurgic.text.kernels.murmur import hash_runs

    if pa.types.is_null(texts.type):
        texts = texts.cast(pa.string())
    found = Texts.of(texts)
    return _run(hash_runs, found.bytes_B, found.offsets_N1)


def as_hex(hashes_N2: "Hashes") -> list[str]:
    """32 hex digits of each hash: the name of the group of rows that say it."""
    import numpy as np

    digits = np.ascontiguousarray(hashes_N2, ">u8").tobytes().hex()
    return [digits[start : start + 32] for start in range(0, len(digits), 32)]


def _talks(conversations: "pyarrow.ListArray") -> "Hashes":
    """One hash per list of messages."""
    import numpy as np

    messages = conversations.flatten()
    calls = messages.field("tool_calls")
    flat = calls.flatten()
    each_C4 = np.concatenate([hash_texts(flat.field("name")), hash_texts(flat.field("arguments"))], axis=1)
    called_M2 = _folded(each_C4, _starts(calls))
    said = [hash_texts(messages.field("role")), hash_texts(messages.field("content")), called_M2]
    return _folded(np.concatenate(said, axis=1), _starts(conversations))


def _starts(lists: "pyarrow.ListArray") -> "np.ndarray[Any, np.dtype[np.int64]]":
    import numpy as np

    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def _folded(numbers: "Hashes", starts_N1: "np.ndarray[Any, np.dtype[np.int64]]") -> "Hashes":
    """One hash of each run of lines of a table: run i is the lines `starts_N1[i]` to `starts_N1[i + 1]`."""
    import numpy as np

    from demiurgic.text.kernels.murmur import hash_runs

    table = np.ascontiguousarray(numbers)
    return _run(hash_runs, table.reshape(-1).view(np.uint8), starts_N1 * (table.shape[1] * table.itemsize))


def _run(kernel: Any, bytes_B: Any, offsets_N1: Any) -> "Hashes":
    import numpy as np

    hashes_N2 = np.empty((len(offsets_N1) - 1, 2), np.uint64)
    # Numba compiles arrays that may be written to and those that may not apart; Arrow's may not, so let none.
    bytes_B, offsets_N1 = bytes_B.view(), np.ascontiguousarray(offsets_N1, np.int64).view()
    bytes_B.flags.writeable = offsets_N1.flags.writeable = False
    kernel(bytes_B, offsets_N1, np.uint64(0), hashes_N2)
    return hashes_N2
