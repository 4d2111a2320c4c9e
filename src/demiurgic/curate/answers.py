"""The answer of each row as `Row.answer` gives it: what the assistant says last, without the tools it calls. N rows."""

from typing import TYPE_CHECKING

from demiurgic.core.row_batch import RowBatch

if TYPE_CHECKING:
    import pyarrow


def answers_of(rows: RowBatch) -> "pyarrow.StringArray":
    """The content of the last message of the assistant, or the text; empty where there is neither."""
    import pyarrow as pa
    import pyarrow.compute as pc

    last_N = rows.turns.last_N("assistant")
    answers = rows.turns.contents_M.take(pa.array(last_N, mask=last_N < 0))
    return pc.coalesce(answers, rows.column("text"), pa.scalar("", pa.string()))
