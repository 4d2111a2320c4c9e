"""The rule over all rows: exact copies, near-duplicates by each key, then a cap of answers per prompt.

Of rows that are alike the best stays, and whatever goes names a row that stays. Knows nothing of parts or files.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from demiurgic.core.console import Console
from demiurgic.core.seeds import Seeds
from demiurgic.curate.decisions import Decisions
from demiurgic.curate.duplicates.account import facts_of
from demiurgic.curate.duplicates.check import check
from demiurgic.curate.duplicates.config import Duplicates, Key
from demiurgic.curate.duplicates.copies import drop_copies
from demiurgic.curate.duplicates.fingerprints import Earlier, read_earlier
from demiurgic.curate.duplicates.near import Passes
from demiurgic.curate.duplicates.preference import best_first
from demiurgic.curate.duplicates.rounds import go_over
from demiurgic.curate.duplicates.standing import REASONS, Reason, Standing
from demiurgic.curate.duplicates.survey import Survey, survey
from demiurgic.curate.spill import Spill
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

BESIDE_KEYS = ("all that is said", "prompt")
"""What exact copies, and rows beyond the cap, are matched by."""


def find_duplicates(
    spill: Spill,
    alive_N: "Mask",
    *,
    config: Duplicates,
    workspace: Workspace,
    threads: int,
    console: Console,
    seeds: Seeds,
) -> Decisions:
    """Decide which of the rows that are alive repeat another.

    `seeds` draws the rows that the step checks itself on, and nothing else. The workspace's folder holds the texts that
    are compared while it runs. Raises UserError for settings that the rows, or the indexes in `against`, do not fit.
    """
    if not config.does_anything:
        return Decisions.none(spill.num_rows)
    keys = config.near.key if config.near else []
    earlier = read_earlier(config.against, config)
    looked = survey(spill, alive_N, config=config, keys=keys, workspace=workspace, threads=threads)
    standing, order = Standing(len(looked)), best_first(looked, config)
    if config.exact:
        drop_copies(standing, looked.said_A2, order=order, said_K2=earlier.said_K2 if earlier else None)
    known = earlier.known if earlier else {}
    passes = Passes(config.near, looked.texts, known, workspace, threads, console) if config.near else None
    done = go_over(standing, looked, order=order, config=config, passes=passes)
    standing.follow()
    decisions = _decided(spill, looked, standing, keys=keys, earlier=earlier)
    facts = facts_of(spill, looked, standing, keys=keys, done=done)
    if passes and config.sample:
        checked = check(done, passes, sample=config.sample, seeds=seeds)
        decisions = replace(decisions, metrics=checked.metrics)
        facts["check"] = checked.facts
    looked.release(workspace)
    return replace(decisions, facts=facts)


def _decided(
    spill: Spill, looked: Survey, standing: Standing, *, keys: Sequence[Key], earlier: Earlier | None
) -> Decisions:
    """What became of the rows that came, as decisions on all rows of the spill."""
    import numpy as np

    rows = looked.row_A
    here = (standing.witness_A >= 0) & (standing.witness_A < standing.num_rows)
    before = np.flatnonzero(standing.witness_A >= standing.num_rows)
    ids = earlier.ids.take(standing.witness_A[before] - standing.num_rows).to_pylist() if earlier else []
    witness_A = np.full(len(rows), -1, np.int64)
    witness_A[here] = rows[standing.witness_A[here]]
    return Decisions(
        reason_N=_spread(spill, rows, standing.reason_A, -1),
        reasons=REASONS,
        witness_N=_spread(spill, rows, witness_A, -1),
        similarity_N=_spread(spill, rows, standing.similarity_A, np.nan),
        key_N=_spread(spill, rows, _key_A(standing, num_keys=len(keys)), -1),
        keys=(*keys, *BESIDE_KEYS),
        earlier=dict(zip(rows[before].tolist(), ids, strict=True)),
        evidence=_evidence(looked, standing),
    )


def _key_A(standing: Standing, *, num_keys: int) -> Any:
    """What each row that goes was matched by: a key, all that is said, or its prompt beyond the cap."""
    import numpy as np

    is_copy_A = (standing.reason_A == Reason.COPY) | (standing.reason_A == Reason.KNOWN_COPY)
    beside_A = np.where(standing.reason_A == Reason.CAPPED, num_keys + 1, standing.key_A)
    return np.where(is_copy_A, num_keys, beside_A).astype(np.int8)


def _spread(spill: Spill, rows: Any, column_A: Any, else_: Any) -> Any:
    """A column over the rows that came, as one over all rows."""
    import numpy as np

    column_N = np.full(spill.num_rows, else_, column_A.dtype)
    column_N[rows] = column_A
    return column_N


def _evidence(looked: Survey, standing: Standing) -> dict[int, str]:
    """For a row beyond the cap: that is a matter of numbers, which the witness alone does not show."""
    import numpy as np

    capped = np.flatnonzero(standing.reason_A == Reason.CAPPED)
    witnesses, counts = np.unique(standing.witness_A[capped], return_counts=True)
    beyond = dict(zip(witnesses.tolist(), counts.tolist(), strict=True))
    return {int(looked.row_A[place]): f"{beyond[int(standing.witness_A[place])]} answers too many" for place in capped}
