"""Rows as a batch, made in one line."""

from demiurgic.core.records import Row, to_batch
from demiurgic.core.row_batch import RowBatch
from tiny_rows import chat


def batch(*rows: Row) -> RowBatch:
    return RowBatch(to_batch(rows))


def talks(*pairs: tuple[str, str]) -> RowBatch:
    """Conversations of one question and one answer."""
    return batch(*(chat(prompt, answer, id=f"talk:{number}") for number, (prompt, answer) in enumerate(pairs)))


def reasons(verdicts) -> list[str | None]:
    """Why each row goes, None for those that stay."""
    return [None if reason < 0 else verdicts.reasons[reason] for reason in verdicts.reason_N]
