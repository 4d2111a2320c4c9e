"""Sets aside rows whose id an earlier row has: an id is given once, and says which row is meant."""

from typing import TYPE_CHECKING, Any

from demiurgic.curate.decisions import NO_WITNESS, STAYS, Decisions
from demiurgic.curate.spill import Spill

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

REASON = "id: another row has it"


def same_ids(spill: Spill, alive_N: "Mask") -> Decisions:
    """Of rows that are alive and have the same id the first stays; each later one goes, whatever it says."""
    import numpy as np

    alive = np.flatnonzero(alive_N)
    hashes, place, number = np.unique(spill.id_hash_N[alive], return_inverse=True, return_counts=True)
    del hashes
    shared = alive[number[place] > 1]
    if not len(shared):
        return Decisions.none(spill.num_rows)
    reason_N = np.full(spill.num_rows, STAYS, np.int16)
    witness_N = np.full(spill.num_rows, NO_WITNESS, np.int64)
    first: dict[str, int] = {}
    evidence: dict[int, str] = {}
    for row, id in zip(shared.tolist(), spill.ids(shared).to_pylist(), strict=True):
        witness = first.setdefault(id, row)
        if witness != row:
            reason_N[row], witness_N[row] = 0, witness
            evidence[row] = f"in data.{spill.data_N[row]}; the first is in data.{spill.data_N[witness]}"
    return Decisions(reason_N, (REASON,), witness_N, evidence=evidence, facts={"rows": len(evidence)})
