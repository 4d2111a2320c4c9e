"""Can the chat format say it? Asks the dialect itself, and never looks at what is said."""

from typing import Literal

from demiurgic.core.records import Row
from demiurgic.curate.filters import FILTERS, KEEP, Drop, Verdict
from demiurgic.dialects import DIALECTS


@FILTERS.register("fits_dialect")
def fits_dialect(row: Row, *, dialect: Literal["chatml"] = "chatml") -> Verdict:
    """Drop rows that hold what the dialect has no form for: for chatml tools, tool calls and reasoning."""
    lacking = DIALECTS[dialect].cannot_write(row)
    return KEEP if lacking is None else Drop(f"{dialect} has no form for {lacking}")
