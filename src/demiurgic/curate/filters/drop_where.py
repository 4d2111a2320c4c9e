"""Does the row come from where rows are not wanted from? Looks at its origin, never at what is said."""

import re

from demiurgic.core.records import Row
from demiurgic.curate.filters import FILTERS, KEEP, Drop, Verdict
from demiurgic.curate.row_fields import Pattern, field_of


@FILTERS.register("drop_where", reads="field")
def drop_where(row: Row, *, field: str, pattern: Pattern) -> Verdict:
    """Drop rows whose field (source, license, domain, teacher, or a key of meta) matches the whole pattern."""
    value = field_of(row, field)
    dropped = value is not None and re.fullmatch(pattern, value)
    return Drop(f"{field} is one to drop"[:60], value or "") if dropped else KEEP
