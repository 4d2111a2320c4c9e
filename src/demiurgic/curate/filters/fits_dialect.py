"""Can the chat format say it? Asks the dialect itself, and never looks at what is said. N rows, M messages."""

from typing import Any, Literal

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, KEPT, Verdicts
from demiurgic.dialects import DIALECTS


@FILTERS.register("fits_dialect", over="batch")
def fits_dialect(rows: RowBatch, *, dialect: Literal["chatml"] = "chatml") -> Verdicts:
    """Drop rows that hold what the dialect has no form for: for chatml tools, tool calls and reasoning."""
    import numpy as np

    asked_N = _unusual(rows)
    reason_N, reasons = np.full(len(rows), KEPT, np.int16), dict[str, int]()
    # Plain turns of roles that take a name in every chat format are not asked about one by one.
    for place, row in zip(np.flatnonzero(asked_N).tolist(), rows.filter(asked_N).rows, strict=True):
        lacking = DIALECTS[dialect].cannot_write(row)
        if lacking is not None:
            reason_N[place] = reasons.setdefault(f"{dialect} has no form for {lacking}", len(reasons))
    return Verdicts(reason_N, tuple(reasons))


def _unusual(rows: RowBatch) -> Any:
    """Which conversations hold anything but what is said in turns: tools, calls, answers of tools, reasoning."""
    import numpy as np
    import pyarrow.compute as pc

    messages = rows.column("messages").flatten()
    calls = pc.greater(messages.field("tool_calls").value_lengths(), 0).fill_null(False)
    odd = pc.or_(pc.equal(messages.field("role"), "tool"), messages.field("reasoning").is_valid())
    odd_M = pc.or_(pc.or_(calls, odd), messages.field("tool_call_id").is_valid()).to_numpy(zero_copy_only=False)
    starts_N1 = rows.turns.starts_N1
    counts = np.concatenate(([0], np.cumsum(odd_M)))
    has_tools_N = rows.column("tools").is_valid().to_numpy(zero_copy_only=False)
    return (np.diff(counts[starts_N1]) > 0) | (has_tools_N & (np.diff(starts_N1) > 0))
