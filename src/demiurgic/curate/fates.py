"""Where every row goes: which rule took it, why and in whose favour; and that all of it adds up.

A rule is a filter, or one that looks at all rows at once. N rows; D of them dropped by one rule.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.curate.decisions import NO_WITNESS, STAYS, Decisions
from demiurgic.curate.row_pass import Passed
from demiurgic.curate.spill import Spill

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Mask = np.ndarray[Any, np.dtype[np.bool_]]
    Places = np.ndarray[Any, np.dtype[np.int64]]

UNNAMED = "unnamed"
"""How rows without a source are called."""


@dataclass(frozen=True)
class _Taken:
    """The rows that one rule over all rows dropped, by rising number."""

    row_D: "Places"
    witness_D: "Places | None"
    similarity_D: "np.ndarray[Any, np.dtype[np.float32]] | None"
    key_D: "np.ndarray[Any, np.dtype[np.int8]] | None"
    said: Decisions


class Fates:
    """What has been decided of N rows so far; begins with what the filters decided."""

    def __init__(self, passed: Passed, filters: Sequence[str]) -> None:
        self.spill: Spill = passed.spill
        self.rules: list[str] = []
        for name in filters:
            self._new_rule(name)
        self.reasons: list[str] = [why.reason for why in passed.whys]
        self._rule_of: list[int] = [why.filter for why in passed.whys]
        self.reason_N = passed.spill.reason_N.copy()
        self.facts: dict[str, JSON] = {}
        self.metrics: dict[str, Metric] = {}
        self._taken: list[_Taken] = []

    @property
    def alive_N(self) -> "Mask":
        found: Mask = self.reason_N == STAYS
        return found

    @property
    def rule_N(self) -> "Places":
        """For each row that goes the place in `rules` of the one that took it; -1 for the others."""
        import numpy as np

        found: Places = np.array([*self._rule_of, -1], np.int64)[self.reason_N]
        return found

    def take(self, rule: str, decisions: Decisions) -> None:
        """Do what a rule says. Raises AssertionError when it drops a row twice, or in favour of one that goes."""
        import numpy as np

        row_D = np.flatnonzero(decisions.reason_N != STAYS)
        if not self.alive_N[row_D].all():
            raise AssertionError(f"the rule {rule} drops rows that were dropped before")
        number = self._new_rule(rule)
        names = [len(self.reasons) + place for place in range(len(decisions.reasons))]
        self.reasons += decisions.reasons
        self._rule_of += [number] * len(names)
        if len(row_D):
            self.reason_N[row_D] = np.array(names, np.int16)[decisions.reason_N[row_D]]
        witness_D = None if decisions.witness_N is None else decisions.witness_N[row_D]
        similarity_D = None if decisions.similarity_N is None else decisions.similarity_N[row_D]
        key_D = None if decisions.key_N is None else decisions.key_N[row_D]
        self._taken.append(_Taken(row_D, witness_D, similarity_D, key_D, decisions))
        if witness_D is not None and not self.alive_N[witness_D[witness_D != NO_WITNESS]].all():
            raise AssertionError(f"the rule {rule} names witnesses that do not stay")
        if decisions.facts:
            self.facts[rule] = dict(decisions.facts)
        self.metrics |= {f"{rule}.{name}": metric for name, metric in decisions.metrics.items()}

    def _new_rule(self, name: str) -> int:
        """Its place in `rules`; the second of a name is called `NAME (2)`."""
        others = sum(rule == name or rule.startswith(f"{name} (") for rule in self.rules)
        self.rules.append(f"{name} ({others + 1})" if others else name)
        return len(self.rules) - 1

    def said(self, first: int, evidence: "pyarrow.Array", witnesses: "Witnesses") -> "pyarrow.StringArray":
        """For a run of rows what `dropped` in their meta says, as JSON; null for rows that stay.

        `first` is the number of the first of them, `evidence` what filters found.
        """
        import numpy as np
        import pyarrow as pa

        num_rows = len(evidence)
        found: list[str | None] = [None] * num_rows
        reasons = [json.dumps(reason, ensure_ascii=False) for reason in self.reasons]
        for row in np.flatnonzero(self.spill.reason_N[first : first + num_rows] != STAYS).tolist():
            said = json.dumps(evidence[row].as_py() or "", ensure_ascii=False)
            found[row] = f'{{"reason": {reasons[self.reason_N[first + row]]}, "evidence": {said}}}'
        for taken in self._taken:
            low, high = np.searchsorted(taken.row_D, (first, first + num_rows))
            for place in range(low, high):
                row = int(taken.row_D[place])
                details = dict(_details(taken, place, witnesses))
                fact = {
                    "reason": self.reasons[self.reason_N[row]],
                    "evidence": taken.said.evidence.get(row, ""),
                    **details,
                }
                found[row - first] = json.dumps(fact, ensure_ascii=False)
        return pa.array(found, pa.string())

    def witnesses(self) -> "Witnesses":
        """The ids of all rows that others went in favour of."""
        import numpy as np

        named = [taken.witness_D for taken in self._taken if taken.witness_D is not None]
        rows = np.unique(np.concatenate([np.zeros(0, np.int64), *named]))
        rows = rows[rows != NO_WITNESS]
        return Witnesses(rows, self.spill.ids(rows))

    def dropped(self) -> dict[str, Counter[str]]:
        """Rows by source and reason."""
        import numpy as np

        sources = self.spill.sources
        gone = self.reason_N != STAYS
        pairs = self.reason_N[gone].astype(np.int64) * len(sources) + self.spill.source_N[gone]
        found: dict[str, Counter[str]] = {}
        for pair, number in zip(*(each.tolist() for each in np.unique(pairs, return_counts=True)), strict=True):
            reason, source = divmod(pair, len(sources))
            found.setdefault(sources[source] or UNNAMED, Counter())[self.reasons[reason]] += number
        return found

    def by_source(self, chosen_N: "Mask") -> dict[str, int]:
        """How many of some rows each source has."""
        import numpy as np

        found: Counter[str] = Counter()
        counts = np.bincount(self.spill.source_N[chosen_N], minlength=len(self.spill.sources)).tolist()
        for name, number in zip(self.spill.sources, counts, strict=True):
            found[name or UNNAMED] += number
        return dict(sorted(found.items()))


@dataclass(frozen=True)
class Witnesses:
    """Rows by rising number, and their ids."""

    rows: "Places"
    ids: "pyarrow.Array"

    def __getitem__(self, row: int) -> str:
        import numpy as np

        return str(self.ids[int(np.searchsorted(self.rows, row))].as_py())


def _details(taken: _Taken, place: int, witnesses: Witnesses) -> Iterator[tuple[str, JSON]]:
    earlier = taken.said.earlier.get(int(taken.row_D[place]))
    if earlier is not None:
        yield "witness", earlier
    elif taken.witness_D is not None and taken.witness_D[place] != NO_WITNESS:
        yield "witness", witnesses[int(taken.witness_D[place])]
    if taken.similarity_D is not None and taken.similarity_D[place] == taken.similarity_D[place]:
        yield "similarity", round(float(taken.similarity_D[place]), 6)
    if taken.key_D is not None and taken.key_D[place] >= 0:
        yield "key", taken.said.keys[taken.key_D[place]]


def check_sums(
    fates: Fates, *, num_rows: int, kept: Mapping[str, int], written: Mapping[str, int], dropped: str
) -> None:
    """Raises AssertionError unless all `num_rows` of the data came in, every source's rows are kept or dropped with a
    reason, and each part was `written` what it got.
    """
    reasons = fates.dropped()
    counted = {**kept, dropped: sum(reason.total() for reason in reasons.values())}
    rows_in = fates.spill.num_rows
    if rows_in != num_rows or sum(counted.values()) != num_rows or counted != written:
        raise AssertionError(
            f"rows were lost: the data holds {num_rows}, {rows_in} came in, {counted} were counted and "
            f"{dict(written)} written"
        )
    came, stay = (fates.by_source(mask) for mask in (fates.reason_N == fates.reason_N, fates.alive_N))
    for source, number in came.items():
        if number != stay[source] + reasons.get(source, Counter[str]()).total():
            raise AssertionError(f"of {source} {number} rows came in, {stay[source]} stay and {reasons.get(source)} go")


def summary_of(fates: Fates, passed: Passed, *, kept: Mapping[str, int], groups: Mapping[str, int]) -> Summary:
    """Numbers of all parts, and facts by source: what was dropped, tagged and counted."""
    dropped = fates.dropped()
    numbers = {"rows_in": fates.spill.num_rows, "dropped": sum(each.total() for each in dropped.values()), **kept}
    metrics = {name: Metric.exact(number) for name, number in numbers.items()} | fates.metrics
    facts: dict[str, JSON] = {
        "groups": dict(groups),
        "dropped": {source: dict(sorted(reasons.items())) for source, reasons in sorted(dropped.items())},
    }
    for name, table in (("tagged", passed.tagged), ("counts", passed.counts)):
        nested: dict[str, dict[str, JSON]] = {}
        for (first, second), number in sorted(table.items()):
            nested.setdefault(first, {})[second] = number
        if nested:
            facts[name] = dict(nested)
    return Summary(metrics, facts | fates.facts)
