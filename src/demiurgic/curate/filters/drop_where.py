"""Does the row come from where rows are not wanted from? Looks at its origin, never at what is said. N rows."""

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.row_fields import Pattern, field_of, matches


@FILTERS.register("drop_where", reads="field", over="batch")
def drop_where(rows: RowBatch, *, field: str, pattern: Pattern) -> Verdicts:
    """Drop rows whose field (source, license, domain, teacher, or a key of meta) matches the whole pattern."""
    values = field_of(rows, field)
    reason = f"{field} is one to drop"[:60]
    return first_reason(len(rows), {reason: (matches(values, pattern), lambda row: values[row].as_py())})
