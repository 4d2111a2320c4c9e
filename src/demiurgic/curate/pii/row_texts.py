"""Every text a row holds, as columns, and rows with other texts in these columns. Knows nothing of what is looked for.

N rows, M messages in all, C tool calls in all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

Path: TypeAlias = tuple[str, ...]
"""A column, the field of its messages, the field of their calls: `("messages", "content")`."""
CONVERSATIONS = ("messages", "rejected")
PLAIN = ("text", "tools")


@dataclass(frozen=True)
class TextColumn:
    """All texts of one sort. `row_T` and `message_T` say of each whose it is; messages count from 0 within the row."""

    path: Path
    texts: "pyarrow.Array"
    row_T: "np.ndarray[Any, np.dtype[np.int64]]"
    message_T: "np.ndarray[Any, np.dtype[np.int64]] | None" = None

    def place(self, index: int) -> str:
        """In words, where the text stands: `message 2`, `reasoning of message 2`, `tool call in rejected message 1`."""
        if self.message_T is None:
            return self.path[0]
        message = f"{'rejected ' if self.path[0] == 'rejected' else ''}message {self.message_T[index] + 1}"
        what = {"content": "", "reasoning": "reasoning of ", "tool_calls": "tool call in "}[self.path[1]]
        return what + message


def text_columns(batch: "pyarrow.RecordBatch") -> Iterator[TextColumn]:
    """The texts of a batch of rows: contents, reasoning and arguments of calls, of both conversations, texts, tools."""
    import numpy as np

    for name in CONVERSATIONS:
        messages = batch.column(name)
        row_M, message_M = _owners(_lengths(messages))
        flat = messages.flatten()
        for field in ("content", "reasoning"):
            yield TextColumn((name, field), flat.field(field), row_M, message_M)
        calls = flat.field("tool_calls")
        message_C, _ = _owners(_lengths(calls))
        arguments = calls.flatten().field("arguments")
        yield TextColumn((name, "tool_calls", "arguments"), arguments, row_M[message_C], message_M[message_C])
    for name in PLAIN:
        yield TextColumn((name,), batch.column(name), np.arange(len(batch)))


def with_texts(batch: "pyarrow.RecordBatch", texts: "Mapping[Path, pyarrow.Array]") -> "pyarrow.RecordBatch":
    """The batch with other texts in some of its `text_columns`; every other column is the same object."""
    columns = {name: batch.column(name) for name in batch.schema.names}
    for name in dict.fromkeys(path[0] for path in texts):
        inner = {path[1:]: array for path, array in texts.items() if path[0] == name}
        columns[name] = inner[()] if () in inner else _with_inner(columns[name], inner)
    return type(batch).from_arrays(list(columns.values()), schema=batch.schema)


def _with_inner(lists: "pyarrow.ListArray", texts: "Mapping[Path, pyarrow.Array]") -> "pyarrow.ListArray":
    import pyarrow as pa

    structs = lists.flatten()
    fields = [structs.type.field(index) for index in range(structs.type.num_fields)]
    children = {field.name: structs.field(field.name) for field in fields}
    for name in dict.fromkeys(path[0] for path in texts):
        inner = {path[1:]: array for path, array in texts.items() if path[0] == name}
        children[name] = inner[()] if () in inner else _with_inner(children[name], inner)
    values = pa.StructArray.from_arrays(list(children.values()), fields=fields, mask=structs.is_null())
    return pa.ListArray.from_arrays(_offsets(lists), values, type=lists.type, mask=lists.is_null())


def _lengths(lists: "pyarrow.ListArray") -> "np.ndarray[Any, np.dtype[np.int64]]":
    import numpy as np

    return lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)  # type: ignore[no-any-return]


def _offsets(lists: "pyarrow.ListArray") -> "pyarrow.Array":
    import numpy as np
    import pyarrow as pa

    return pa.array(np.concatenate(([0], np.cumsum(_lengths(lists)))), pa.int32())


def _owners(
    lengths: "np.ndarray[Any, np.dtype[np.int64]]",
) -> "tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.int64]]]":
    """For each item of lists of these lengths: the place of its list, and its own place in it."""
    import numpy as np

    owner = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    return owner, np.arange(len(owner)) - starts[owner]
