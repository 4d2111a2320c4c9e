"""Does the row come from where rows are wanted from? Looks at its origin, never at what is said."""

import re

from demiurgic.core.records import Row
from demiurgic.curate.filters import FILTERS, KEEP, Drop, Verdict
from demiurgic.curate.row_fields import Pattern, field_of


@FILTERS.register("keep_where", reads="field")
def keep_where(row: Row, *, field: str, pattern: Pattern) -> Verdict:
    """Keep only rows whose field (source, license, domain, teacher, or a key of meta) matches the whole pattern."""
    value = field_of(row, field)
    if value is None:
        return Drop(f"no {field}"[:60])
    return KEEP if re.fullmatch(pattern, value) else Drop(f"{field} is not one to keep"[:60], value)
