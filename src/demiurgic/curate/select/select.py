"""Selects rows by what a person trusts, by score and by quota; each row that goes says which bar it missed.

Of equal scores the lower hash of the id goes first, so the same rows are chosen in whatever order they came. N rows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any, final

from demiurgic.core.errors import UserError, unknown
from demiurgic.core.metric import JSON
from demiurgic.curate.decisions import STAYS, Decisions
from demiurgic.curate.select.columns import Named, domains_of, scores_of
from demiurgic.curate.select.config import Quotas, Scored, Select
from demiurgic.curate.spill import Spill

if TYPE_CHECKING:
    import numpy as np

    Mask = np.ndarray[Any, np.dtype[np.bool_]]
    Rows = np.ndarray[Any, np.dtype[np.int64]]
    Floats = np.ndarray[Any, np.dtype[np.float64]]

NO_SCORE = "select: no score"
BELOW = "select: score below the bar"
NOT_BEST = "select: not among the best"
QUOTA = "select: beyond the quota"
REASONS = (NO_SCORE, BELOW, NOT_BEST, QUOTA)


def select(spill: Spill, alive_N: "Mask", config: Select) -> Decisions:
    """First the tiers, then the quotas, in the order of the recipe.

    Raises UserError for a source or domain that no row is of, and for a score that no row has.
    """
    import numpy as np

    _refuse_unknown("source", _sources(config), spill.sources)
    names = {tier.score for tier in config.scored} | {q.score for q in config.quotas if q.score is not None}
    choosing = _Choosing(
        *(spill, alive_N.copy(), scores_of(spill, names)),
        reason_N=np.full(spill.num_rows, STAYS, np.int16),
        said_N=np.full(spill.num_rows, -1, np.int32),
    )
    facts: dict[str, JSON] = {}
    if config.trusted:
        facts["trusted"] = {name: int(alive_N[choosing.of_sources([name])].sum()) for name in config.trusted}
    facts |= {f"scored {number + 1}": choosing.by_score(tier) for number, tier in enumerate(config.scored)}
    for number, quotas in enumerate(config.quotas):
        facts[f"quotas {number + 1}"] = choosing.by_quota(quotas, trusted=config.trusted)
    return Decisions(
        choosing.reason_N, REASONS, evidence=Evidence(choosing.said_N, choosing.said, choosing.scores), facts=facts
    )


def _rounded_up(share: float, num_rows: int) -> int:
    """A share of some rows, up to a whole one; as it is written: 0.07 of 100 is 7, which 0.07 * 100 is not."""
    return ceil(Fraction(str(share)) * num_rows)


def _sources(config: Select) -> list[str]:
    named = [*config.trusted, *(name for tier in config.scored for name in tier.sources)]
    return [*named, *(name for quotas in config.quotas if quotas.by == "source" for name in quotas.rows)]


def _refuse_unknown(what: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    there = set(known)
    for name in wanted:
        if name not in there:
            raise UserError(f"select: {unknown(what, name, there - {''})} Rows name it in their field {what}.")


@final
class Evidence(Mapping[int, str]):
    """What is said of each row that goes, put into words when it is asked for: half of all rows may go."""

    def __init__(
        self,
        said_N: "np.ndarray[Any, np.dtype[np.int32]]",
        said: list[tuple[str, str | None]],
        scores: "Mapping[str, Floats]",
    ) -> None:
        self._said_N = said_N
        self._said = said
        self._scores = scores

    def __getitem__(self, row: int) -> str:
        place = int(self._said_N[row])
        if place < 0:
            raise KeyError(row)
        said, by = self._said[place]
        return said if by is None else f"{by} {self._scores[by][row]:.4g}; {said}"

    def __iter__(self) -> Iterator[int]:
        return iter((self._said_N >= 0).nonzero()[0].tolist())

    def __len__(self) -> int:
        return int((self._said_N >= 0).sum())


@dataclass
class _Choosing:
    """What has been decided so far."""

    spill: Spill
    alive_N: "Mask"
    scores: "Mapping[str, Floats]"
    reason_N: "np.ndarray[Any, np.dtype[np.int16]]"
    said_N: "np.ndarray[Any, np.dtype[np.int32]]"
    said: list[tuple[str, str | None]] = field(default_factory=list)
    """What is said of rows that go, and which score of theirs before it."""

    def of_sources(self, names: Iterable[str]) -> "Mask":
        import numpy as np

        return np.isin(self.spill.source_N, [self.spill.sources.index(name) for name in names])

    def by_score(self, tier: Scored) -> JSON:
        """Keep the best rows of some sources; returns what there was, what stayed, and the lowest score that stayed."""
        import numpy as np

        rows = np.flatnonzero(self.alive_N & self.of_sources(tier.sources))
        score_N = self.scores[tier.score]
        missing = np.isnan(score_N[rows])
        self._drop(rows[missing], NO_SCORE, f"it has no {tier.score}")
        ranked = self._best_first(rows[~missing], score_N)
        if tier.min is not None:
            low = score_N[ranked] < tier.min
            self._drop(ranked[low], BELOW, f"the bar is {tier.min:g}", by=tier.score)
            ranked = ranked[~low]
        most = min(tier.rows or len(rows), _rounded_up(tier.keep, len(rows)) if tier.keep else len(rows))
        bar = float(score_N[ranked[:most]][-1]) if len(ranked[:most]) else float("nan")
        self._drop(ranked[most:], NOT_BEST, f"the {most:,} best of {len(rows):,} end at {bar:.4g}", by=tier.score)
        stayed = min(most, len(ranked))
        return {
            "sources": list[JSON](tier.sources), "score": tier.score, "rows": len(rows), "stayed": stayed,
            "bar": bar if stayed else None,
        }  # fmt: skip

    def by_quota(self, quotas: Quotas, *, trusted: list[str]) -> JSON:
        """Keep so many rows of each name, those of trusted sources in any case."""
        import numpy as np

        groups = Named(self.spill.source_N, self.spill.sources) if quotas.by == "source" else domains_of(self.spill)
        _refuse_unknown(quotas.by, quotas.rows, groups.names)
        trusted_N = self.of_sources(trusted)
        found: dict[str, JSON] = {}
        for name, most in quotas.rows.items():
            rows = np.flatnonzero(self.alive_N & (groups.place_N == groups.names.index(name)))
            safe = int(trusted_N[rows].sum())
            others = rows[~trusted_N[rows]]
            ranked = self._best_first(others, self.scores[quotas.score]) if quotas.score else self._shuffled(others)
            room = max(0, most - safe)
            said = f"{name}: {most:,} of {len(rows):,} rows may stay"
            self._drop(ranked[room:], QUOTA, said, by=quotas.score)
            found[name] = {"rows": len(rows), "quota": most, "stayed": safe + min(room, len(others))}
        return {"by": quotas.by, "score": quotas.score, "found": found}

    def _best_first(self, rows: "Rows", score_N: "Floats") -> "Rows":
        """By falling score, rows without one last; of equal ones in the order of their ids' hashes."""
        import numpy as np

        keys = np.nan_to_num(-score_N[rows], nan=np.inf, posinf=np.inf, neginf=-np.inf)
        return rows[np.lexsort((self.spill.id_hash_N[rows], keys))]

    def _shuffled(self, rows: "Rows") -> "Rows":
        import numpy as np

        return rows[np.argsort(self.spill.id_hash_N[rows], kind="stable")]

    def _drop(self, rows: "Rows", reason: str, said: str, *, by: str | None = None) -> None:
        self.reason_N[rows] = REASONS.index(reason)
        self.alive_N[rows] = False
        self.said_N[rows] = len(self.said)
        self.said.append((said, by))
