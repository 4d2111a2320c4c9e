"""Which domain is the row of? Labels it by counted cues; drops rows only where a recipe says which domains to keep."""

from typing import Annotated, Literal

from pydantic import Field

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.tags.domain import domains_of

Domain = Literal["code", "reasoning", "mathematics", "science", "conversation", "creative", "tools"]


@FILTERS.register("domain", over="batch")
def domain(
    rows: RowBatch,
    *,
    keep: list[Domain] | None = None,
    overwrite: bool = False,
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> Verdicts:
    """Write a domain into rows that have none (or all, with `overwrite`); drop rows of other domains than `keep`.

    A domain found with less than `min_confidence` is not written. A row keeps what its source says of it: `keep` looks
    at the domain that the row ends up with.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = domains_of(rows)
    sure = pa.array(found.confidence_N >= min_confidence)
    labels = pc.if_else(sure, found.labels(), None)
    present = rows.column("domain").fill_null("")
    empty = pc.equal(present, "")
    final = pc.if_else(pc.or_(empty, overwrite), pc.coalesce(labels, present), present)
    wanted = pa.array(keep or [], pa.string())
    unwanted_N = np.zeros(len(rows), np.bool_)
    if keep is not None:
        unwanted_N = pc.invert(pc.is_in(final, wanted)).to_numpy(zero_copy_only=False)
    changed = rows.replaced(domain=final.cast(rows.column("domain").type)).batch if overwrite else None
    return first_reason(
        len(rows),
        {"not a domain to keep": (unwanted_N, lambda row: final[row].as_py() or "none")},
        scores={"domain_confidence": found.confidence_N},
        labels={"domain": labels},
        rows=changed,
    )
