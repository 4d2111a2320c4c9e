"""A spill made of a few rows, in slices and batches as the row pass cuts them, and what the rule decides of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from demiurgic.core.console import Console
from demiurgic.core.records import Row, to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.core.seeds import Seeds
from demiurgic.curate.decisions import Decisions
from demiurgic.curate.duplicates.config import Duplicates
from demiurgic.curate.duplicates.rule import find_duplicates
from demiurgic.curate.duplicates.said import said_hashes
from demiurgic.curate.spill import EVIDENCE, Slice, Spill, write_batches
from demiurgic.text.workspace import Workspace

QUIET = Console(quiet=True)


def spilled(rows: Sequence[Row], folder: Path, *, slice_rows: int = 1000, batch_rows: int = 400) -> Spill:
    """The rows, none of them dropped, in slices of `slice_rows`."""
    slices = []
    for first in range(0, len(rows), slice_rows):
        some = rows[first : first + slice_rows]
        path = folder / f"slice-{first}.arrow"
        write_batches(path, [_batch(some[at : at + batch_rows]) for at in range(0, len(some), batch_rows)])
        slices.append(Slice(path, first, len(some)))
    sources = tuple(dict.fromkeys(row.source for row in rows))
    return Spill(
        slices=slices,
        reason_N=np.full(len(rows), -1, np.int16),
        reasons=(),
        source_N=np.array([sources.index(row.source) for row in rows], np.int32),
        sources=sources,
        data_N=np.zeros(len(rows), np.int16),
        id_hash_N=np.arange(len(rows), dtype=np.uint64),
        said_N2=said_hashes(RowBatch(to_batch(rows))),
    )


def _batch(rows: Sequence[Row]) -> pa.RecordBatch:
    batch = to_batch(rows)
    return batch.append_column(EVIDENCE, pa.nulls(len(rows), pa.string()))


def decide(
    rows: Sequence[Row],
    folder: Path,
    *,
    alive: Sequence[bool] | None = None,
    memory_bytes: int = 1 << 30,
    threads: int = 1,
    slice_rows: int = 1000,
    **settings: Any,
) -> Decisions:
    """What `deduplicate: {settings}` decides of the rows."""
    folder.mkdir(parents=True, exist_ok=True)
    spill = spilled(rows, folder, slice_rows=slice_rows)
    alive_N = np.ones(len(rows), np.bool_) if alive is None else np.array(alive)
    config = Duplicates.model_validate(settings)
    with Workspace(folder, memory_bytes) as workspace:
        return find_duplicates(
            spill, alive_N, config=config, workspace=workspace, threads=threads, console=QUIET, seeds=Seeds(1)
        )


def gone(rows: Sequence[Row], decisions: Decisions) -> dict[str, str]:
    """The ids of the rows that go, each with the id of its witness."""
    assert decisions.witness_N is not None
    found = {}
    for place in np.flatnonzero(decisions.reason_N >= 0).tolist():
        witness = int(decisions.witness_N[place])
        found[rows[place].id] = rows[witness].id if witness >= 0 else decisions.earlier[place]
    return found


def reasons(rows: Sequence[Row], decisions: Decisions) -> dict[str, str]:
    """The ids of the rows that go, each with the first word of the reason."""
    places = np.flatnonzero(decisions.reason_N >= 0).tolist()
    return {rows[place].id: decisions.reasons[decisions.reason_N[place]].partition(":")[0] for place in places}
