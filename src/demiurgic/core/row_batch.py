"""Rows as one Arrow batch, with the texts that rules read, each made once and in columns.

Knows the schema of rows and no rule. N rows, M messages in all.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.records import Row, from_batch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

BETWEEN = "\n"
"""What stands between two messages of one row in a text made of several."""


@dataclass(frozen=True)
class Turns:
    """The messages of all rows, one after the other; those of row i are `starts_N1[i]` to `starts_N1[i + 1]`."""

    roles_M: "pyarrow.StringArray"
    contents_M: "pyarrow.StringArray"
    said_M: "pyarrow.StringArray"
    """Content, and below it the name and arguments of each tool call."""
    starts_N1: "np.ndarray[Any, np.dtype[np.int64]]"

    def joined(self, chosen_M: "np.ndarray[Any, np.dtype[np.bool_]]") -> "pyarrow.StringArray":
        """For each row what its chosen messages say, joined; empty where none is chosen."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        before_M1 = np.concatenate(([0], np.cumsum(chosen_M)))
        said = self.said_M.filter(pa.array(chosen_M))
        lists = pa.ListArray.from_arrays(pa.array(before_M1[self.starts_N1], pa.int32()), said)
        return pc.binary_join(lists, BETWEEN)


@dataclass(frozen=True)
class RowBatch:
    """Some rows. `base` is the folder that relative paths in options start from: the recipe's."""

    batch: "pyarrow.RecordBatch"
    base: Path = Path()

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def column(self, name: str) -> "pyarrow.Array":
        return self.batch.column(name)

    def filter(self, kept_N: "np.ndarray[Any, np.dtype[np.bool_]]") -> "RowBatch":
        """The rows for which `kept_N` is true."""
        import pyarrow as pa

        return self if kept_N.all() else RowBatch(self.batch.filter(pa.array(kept_N)), self.base)

    @cached_property
    def rows(self) -> list[Row]:
        """The rows as objects: for rules that look at one row at a time. Slow: some 50 µs a row."""
        return list(from_batch(self.batch))

    @cached_property
    def turns(self) -> Turns:
        import numpy as np
        import pyarrow as pa

        messages = self.column("messages")
        lengths_N = messages.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        flat = messages.flatten()
        contents = flat.field("content").cast(pa.string()).fill_null("")
        return Turns(flat.field("role"), contents, _said(contents, flat), np.concatenate(([0], np.cumsum(lengths_N))))

    @cached_property
    def is_text_N(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which rows are plain text."""
        found: np.ndarray[Any, np.dtype[np.bool_]] = self.column("text").is_valid().to_numpy(zero_copy_only=False)
        return found

    @cached_property
    def whole(self) -> "pyarrow.StringArray":
        """All that is said in each row: every message, or the text."""
        import numpy as np

        return self._or_text(np.ones(len(self.turns.roles_M), np.bool_))

    @cached_property
    def answer(self) -> "pyarrow.StringArray":
        """The last message of the assistant, or the text."""
        return self._or_text(self._last_M("assistant"))

    @cached_property
    def prompt(self) -> "pyarrow.StringArray":
        """Everything before the last message of the assistant (all, where it says nothing); empty for plain text."""
        import numpy as np

        turns = self.turns
        after_M = np.cumsum(self._last_M("assistant"))
        row_M = np.repeat(np.arange(len(self)), np.diff(turns.starts_N1))
        before_N = np.concatenate(([0], after_M))[turns.starts_N1[:-1]]
        return turns.joined(after_M - before_N[row_M] == 0)

    @cached_property
    def question(self) -> "pyarrow.StringArray":
        """The last message of the user; empty for plain text."""
        return self.turns.joined(self._last_M("user"))

    @cached_property
    def last_turn(self) -> "pyarrow.StringArray":
        """The last message of the user and the last of the assistant, or the text."""
        return self._or_text(self._last_M("user") | self._last_M("assistant"))

    def _last_M(self, role: str) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        import numpy as np
        import pyarrow.compute as pc

        turns = self.turns
        is_role_M = pc.equal(turns.roles_M, role).to_numpy(zero_copy_only=False)
        row_M = np.repeat(np.arange(len(self)), np.diff(turns.starts_N1))
        last_N = np.full(len(self), -1, np.int64)
        places = np.flatnonzero(is_role_M)
        last_N[row_M[places]] = places  # of equal indices the last assignment stays
        chosen = np.zeros(len(row_M), np.bool_)
        chosen[last_N[last_N >= 0]] = True
        return chosen

    def _or_text(self, chosen_M: "np.ndarray[Any, np.dtype[np.bool_]]") -> "pyarrow.StringArray":
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
