"""Does the row come from where rows are wanted from? Looks at its origin, never at what is said. N rows."""

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.row_fields import Pattern, field_of, matches


@FILTERS.register("keep_where", reads="field", over="batch")
def keep_where(rows: RowBatch, *, field: str, pattern: Pattern) -> Verdicts:
    """Keep only rows whose field (source, license, domain, teacher, or a key of meta) matches the whole pattern."""
    values = field_of(rows, field)
    has_N = values.is_valid().to_numpy(zero_copy_only=False)
    missing, other = f"no {field}"[:60], f"{field} is not one to keep"[:60]
    masks = {missing: (~has_N, lambda row: ""), other: (~matches(values, pattern), lambda row: values[row].as_py())}
    return first_reason(len(rows), masks)
