"""Rows as one Arrow batch, with the texts that rules read, each made once and in columns.

Knows the schema of rows and no rule. N rows, M messages in all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from demiurgic.core.records import Row, from_batch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Mask = np.ndarray[Any, np.dtype[np.bool_]]
    Columns = np.ndarray[Any, np.dtype[Any]]
    Places = np.ndarray[Any, np.dtype[np.int64]]

BETWEEN = "\n"
"""What stands between two messages of one row in a text made of several."""
TEXTS = ("turns", "is_text_N", "whole", "answer", "prompt", "question", "last_turn")
"""What is made of the columns `messages` and `text` alone."""


@dataclass(frozen=True)
class Turns:
    """The messages of all rows, one after the other; those of row i are `starts_N1[i]` to `starts_N1[i + 1]`."""

    roles_M: "pyarrow.StringArray"
    contents_M: "pyarrow.StringArray"
    said_M: "pyarrow.StringArray"
    """Content, and below it the name and arguments of each tool call."""
    starts_N1: "Places"

    @cached_property
    def row_M(self) -> "Places":
        """The row of each message."""
        import numpy as np

        return np.repeat(np.arange(len(self.starts_N1) - 1), np.diff(self.starts_N1))

    def last_N(self, role: str) -> "Places":
        """For each row the place of the last message of a role, -1 where it has none."""
        import numpy as np
        import pyarrow.compute as pc

        places = np.flatnonzero(pc.equal(self.roles_M, role).to_numpy(zero_copy_only=False))
        last_N = np.full(len(self.starts_N1) - 1, -1, np.int64)
        last_N[self.row_M[places]] = places  # of equal indices the last assignment stays
        return last_N

    def joined(self, chosen_M: "Mask") -> "pyarrow.StringArray":
        """For each row what its chosen messages say, joined; empty where none is chosen."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        before_M1 = np.concatenate(([0], np.cumsum(chosen_M)))
        said = self.said_M if chosen_M.all() else self.said_M.filter(pa.array(chosen_M))
        lists = pa.ListArray.from_arrays(pa.array(before_M1[self.starts_N1], pa.int32()), said)
        return pc.binary_join(lists, BETWEEN)

    def filter(self, kept_N: "Mask") -> "Turns":
        """The messages of the rows for which `kept_N` is true."""
        import numpy as np
        import pyarrow as pa

        lengths_N = np.diff(self.starts_N1)
        kept_M = pa.array(np.repeat(kept_N, lengths_N))
        starts = np.concatenate(([0], np.cumsum(lengths_N[kept_N])))
        contents = self.contents_M.filter(kept_M)
        said = contents if self.said_M is self.contents_M else self.said_M.filter(kept_M)
        return Turns(self.roles_M.filter(kept_M), contents, said, starts)


@final
class RowBatch:
    """Some rows. `base` is the folder that relative paths in options start from: the recipe's.

    What is filtered out of another batch takes from it only what is asked for, texts that are made there included.
    """

    def __init__(self, batch: "pyarrow.RecordBatch", base: Path = Path()) -> None:
        self.base = base
        self.schema: pyarrow.Schema = batch.schema
        self._num_rows = int(batch.num_rows)
        self._columns: dict[str, pyarrow.Array] = dict(zip(batch.schema.names, batch.columns, strict=True))
        self._origin: RowBatch | None = None
        self._kept_N: Mask | None = None
        self._beside: dict[str, Columns] = {}

    def __len__(self) -> int:
        return self._num_rows

    @cached_property
    def batch(self) -> "pyarrow.RecordBatch":
        import pyarrow as pa

        return pa.RecordBatch.from_arrays([self.column(name) for name in self.schema.names], schema=self.schema)

    def column(self, name: str) -> "pyarrow.Array":
        if name not in self._columns:
            if self._origin is None:
                raise KeyError(f"these rows were read without the column {name}: {', '.join(self.schema.names)}")
            import pyarrow as pa

            self._columns[name] = self._origin.column(name).filter(pa.array(self._kept_N))
        return self._columns[name]

    def filter(self, kept_N: "Mask") -> "RowBatch":
        """The rows for which `kept_N` is true."""
        if kept_N.all():
            return self
        made = object.__new__(RowBatch)
        made.base, made.schema, made._num_rows, made._columns = self.base, self.schema, int(kept_N.sum()), {}
        made._beside = {}
        made._origin, made._kept_N = self, kept_N
        if self._origin is not None and self._kept_N is not None:
            among_all_N = self._kept_N.copy()
            among_all_N[self._kept_N] = kept_N
            made._origin, made._kept_N = self._origin, among_all_N
        return made

    def replaced(self, **columns: "pyarrow.Array") -> "RowBatch":
        """The same rows with other columns. Texts made before stay where none of them is replaced."""
        import pyarrow as pa

        arrays = [columns.get(name, self.column(name)) for name in self.schema.names]
        made = RowBatch(pa.RecordBatch.from_arrays(arrays, schema=self.schema), self.base)
        if not {"messages", "text"} & set(columns):
            made.__dict__.update({name: self.__dict__[name] for name in TEXTS if name in self.__dict__})
            made._beside = self._beside
        return made

    @cached_property
    def rows(self) -> list[Row]:
        """The rows as objects: for rules that look at one row at a time. Slow: some 50 µs a row."""
        return list(from_batch(self.batch))

    @cached_property
    def turns(self) -> Turns:
        import numpy as np
        import pyarrow as pa

        if self._origin is not None and self._kept_N is not None:
            return self._origin.turns.filter(self._kept_N)
        messages = self.column("messages")
        lengths_N = messages.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        flat = messages.flatten()
        contents = flat.field("content").cast(pa.string()).fill_null("")
        return Turns(flat.field("role"), contents, _said(contents, flat), np.concatenate(([0], np.cumsum(lengths_N))))

    @cached_property
    def is_text_N(self) -> "Mask":
        """Which rows are plain text."""
        found: Mask = self.column("text").is_valid().to_numpy(zero_copy_only=False)
        return found

    @cached_property
    def whole(self) -> "pyarrow.StringArray":
        """All that is said in each row: every message, or the text."""
        import numpy as np

        taken = self._taken("whole")
        return self._or_text(np.ones(len(self.turns.roles_M), np.bool_)) if taken is None else taken

    @cached_property
    def answer(self) -> "pyarrow.StringArray":
        """The last message of the assistant, or the text."""
        taken = self._taken("answer")
        return self._or_text(self._last_M("assistant")) if taken is None else taken

    @cached_property
    def prompt(self) -> "pyarrow.StringArray":
        """Everything before the last message of the assistant (all, where it says nothing); empty for plain text."""
        import numpy as np

        taken = self._taken("prompt")
        if taken is not None:
            return taken
        turns = self.turns
        after_M = np.cumsum(self._last_M("assistant"))
        before_N = np.concatenate(([0], after_M))[turns.starts_N1[:-1]]
        return turns.joined(after_M - before_N[turns.row_M] == 0)

    @cached_property
    def question(self) -> "pyarrow.StringArray":
        """The last message of the user; empty for plain text."""
        taken = self._taken("question")
        return self.turns.joined(self._last_M("user")) if taken is None else taken

    @cached_property
    def last_turn(self) -> "pyarrow.StringArray":
        """The last message of the user and the last of the assistant, or the text."""
        taken = self._taken("last_turn")
        return self._or_text(self._last_M("user") | self._last_M("assistant")) if taken is None else taken

    def kept_beside(self, name: str, make: "Callable[[RowBatch], Columns]") -> "Columns":
        """What `make` gives of these rows, an array of as many numbers or lines: made once and kept beside the rows.

        Rows that were filtered out of others take theirs from what is made of those: it must say of each row the same
        alone and among others.
        """
        if self._origin is not None:
            return self._origin.kept_beside(name, make)[self._kept_N]
        if name not in self._beside:
            self._beside[name] = make(self)
        return self._beside[name]

    def _taken(self, name: str) -> "pyarrow.StringArray | None":
        """A text as the rows that these were filtered out of have it; None where they are their own."""
        import pyarrow as pa

        if self._origin is None:
            return None
        return getattr(self._origin, name).filter(pa.array(self._kept_N))

    def _last_M(self, role: str) -> "Mask":
        import numpy as np

        last_N = self.turns.last_N(role)
        chosen = np.zeros(len(self.turns.row_M), np.bool_)
        chosen[last_N[last_N >= 0]] = True
        return chosen

    def _or_text(self, chosen_M: "Mask") -> "pyarrow.StringArray":
        import pyarrow.compute as pc

        return pc.coalesce(self.column("text"), self.turns.joined(chosen_M))


def _said(contents: "pyarrow.StringArray", messages: "pyarrow.StructArray") -> "pyarrow.StringArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    calls = messages.field("tool_calls")
    lengths = calls.value_lengths().fill_null(0)
    flat = calls.flatten()
    if not len(flat):
        return contents
    each = pc.binary_join_element_wise(flat.field("name"), flat.field("arguments"), " ")
    starts = pc.cumulative_sum(lengths).cast(pa.int32())
    lists = pa.ListArray.from_arrays(pa.concat_arrays([pa.array([0], pa.int32()), starts]), each)
    with_calls = pc.binary_join_element_wise(contents, pc.binary_join(lists, BETWEEN), BETWEEN)
    return pc.if_else(pc.greater(lengths, 0), with_calls, contents)
