"""What a run says of the duplicates it found: by key, between which sources, in which clusters, and who is left.

Decides nothing. A rows came to the rule.
"""

from collections import Counter
from typing import Any

from demiurgic.core.metric import JSON
from demiurgic.curate.duplicates.near import Pass
from demiurgic.curate.duplicates.standing import Standing
from demiurgic.curate.duplicates.survey import Codes, Survey
from demiurgic.curate.spill import Spill

MOST_PAIRS = 40
"""Of pairs of sources, those that share most rows are named."""
LARGEST = 10
EARLIER = "an earlier curation"


def facts_of(spill: Spill, looked: Survey, standing: Standing, *, keys: list[Any], done: list[Pass]) -> dict[str, JSON]:
    """Plain facts for the summary."""
    return {
        "compared": len(looked),
        "stay": int(standing.stays_A.sum()),
        "by_key": {key: int((standing.key_A == place).sum()) for place, key in enumerate(keys)},
        "between_sources": _between(looked, standing),
        "clusters": _clusters(spill, looked, standing),
        "domains": _domains(looked.domain, standing),
        "difficulty": _difficulty(looked, standing),
        "passes": {each.key: _pass(each) for each in done},
    }


def _pass(each: Pass) -> dict[str, JSON]:
    found = each.found
    return {
        "rows": len(each.order),
        "candidates": found.num_candidates,
        "verified": found.num_verified,
        "capped": found.num_capped,
        "common_ngrams": len(found.common_C),
    }


def _between(looked: Survey, standing: Standing) -> list[JSON]:
    """How many rows of one source went in favour of a row of another, or of the same."""
    import numpy as np

    names = (*looked.source.names, EARLIER)
    gone = np.flatnonzero(~standing.stays_A)
    of_witness = np.full(len(gone), len(names) - 1, np.int64)
    here = standing.witness_A[gone] < standing.num_rows
    of_witness[here] = looked.source.code_A[standing.witness_A[gone][here]]
    codes, counts = np.unique(looked.source.code_A[gone] * np.int64(len(names)) + of_witness, return_counts=True)
    most = sorted(zip(counts.tolist(), codes.tolist(), strict=True), key=lambda pair: (-pair[0], pair[1]))[:MOST_PAIRS]
    return [{"gone": names[code // len(names)], "kept": names[code % len(names)], "rows": rows} for rows, code in most]


def _clusters(spill: Spill, looked: Survey, standing: Standing) -> dict[str, JSON]:
    """A cluster is a row that stays and those that went in its favour."""
    import numpy as np

    witnesses = standing.witness_A[(~standing.stays_A) & (standing.witness_A < standing.num_rows)]
    kept, gone = np.unique(witnesses, return_counts=True)
    sizes: dict[str, JSON] = {}
    for low, high in ((2, 2), (3, 4), (5, 9), (10, 99), (100, None)):
        chosen = (gone + 1 >= low) & (True if high is None else gone + 1 <= high)
        sizes[str(low) if high == low else f"{low} and more" if high is None else f"{low} to {high}"] = int(
            chosen.sum()
        )
    largest = np.sort(np.lexsort((kept, -gone))[:LARGEST])
    ids = spill.ids(looked.row_A[kept[largest]]).to_pylist()
    named = sorted(zip(ids, (gone[largest] + 1).tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    return {"number": len(kept), "by_rows": sizes, "largest": [{"kept": row, "rows": rows} for row, rows in named]}


def _domains(domain: Codes, standing: Standing) -> dict[str, JSON]:
    """The share of each domain among the rows that came, and among those that stay."""
    before = Counter(domain.code_A.tolist())
    after = Counter(domain.code_A[standing.stays_A].tolist())
    shares: dict[str, JSON] = {}
    for code, name in sorted(enumerate(domain.names), key=lambda pair: pair[1]):
        shares[name or "unnamed"] = [_share(before[code], before.total()), _share(after[code], after.total())]
    return shares


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0


def _difficulty(looked: Survey, standing: Standing) -> JSON:
    """The mean score of the rows that came and of those that stay; None where no row has one."""
    import numpy as np

    scored_A = ~np.isnan(looked.difficulty_A)
    if not scored_A.any():
        return None
    stay = scored_A & standing.stays_A
    after = round(float(looked.difficulty_A[stay].mean()), 6) if stay.any() else None
    return [round(float(looked.difficulty_A[scored_A].mean()), 6), after]
