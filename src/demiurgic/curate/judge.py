"""Puts rows before the filters, a batch at a time. Knows nothing of files, duplicates or splits.

N rows.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demiurgic.core.metric import JSON
from demiurgic.core.registry import Choice
from demiurgic.core.row_batch import RowBatch
from demiurgic.core.row_columns import as_json, with_columns, with_hashes, with_key, with_rows, with_scores
from demiurgic.curate.filters import KEPT, Drop, Verdict, Verdicts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Mask = np.ndarray[Any, np.dtype[np.bool_]]

WOULD_DROP = "would_drop"
"""The key of meta under which a row says which filters that only tag would have dropped it, and why."""
BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Why:
    """Why a filter drops rows: its place among the filters, and its name with the reason (`length: too short`)."""

    filter: int
    reason: str


@dataclass
class Account:
    """What the filters did, over any number of batches. `whys` numbers the reasons in the order they first came up."""

    whys: dict[Why, int] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(filter, what it counted) -> how many."""
    tagged: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(source, reason) -> rows that a filter would have dropped."""
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    """By filter, of one thread."""


@dataclass(frozen=True)
class Judged:
    """All N rows as the filters left them; `reason_N` is the number of the reason in the account, `KEPT` for those that
    stay; `evidence` is what was found, by row.
    """

    rows: "pyarrow.RecordBatch"
    reason_N: "np.ndarray[Any, np.dtype[np.int16]]"
    evidence: Mapping[int, str]


def judge(rows: RowBatch, *, filters: Sequence[Choice], account: Account) -> Judged:
    """Put rows before the filters in order; each sees those that no earlier one dropped, as the earlier left them."""
    import numpy as np

    state = _State(rows, np.full(len(rows), KEPT, np.int16))
    for number, choice in enumerate(filters):
        alive_N = state.reason_N == KEPT
        if not alive_N.any():
            break
        started = time.thread_time()
        seen = state.rows.filter(alive_N)
        state.take(number, choice, verdicts_of(choice, seen), alive_N, account)
        add_seconds(account.cpu_seconds, {choice.name: time.thread_time() - started})
    return Judged(state.tagged(), state.reason_N, state.evidence)


def verdicts_of(choice: Choice, rows: RowBatch) -> Verdicts:
    """What one filter says of some rows, whichever form it has."""
    import numpy as np

    if choice.entry.facts.get("over") == BATCH:
        verdicts: Verdicts = choice(rows)
        if len(verdicts.reason_N) != len(rows):
            raise AssertionError(f"{choice.name} gave {len(verdicts.reason_N)} verdicts on {len(rows)} rows")
        return verdicts
    reason_N, reasons, evidence = np.full(len(rows), KEPT, np.int16), dict[str, int](), dict[int, str]()
    for number, row in enumerate(rows.rows):
        verdict: Verdict = choice(row)
        if isinstance(verdict, Drop):
            reason_N[number] = reasons.setdefault(verdict.reason, len(reasons))
            evidence[number] = verdict.evidence
    return Verdicts(reason_N, tuple(reasons), evidence)


def add_seconds(total: dict[str, float], more: Mapping[str, float]) -> None:
    """Add seconds by name to those there are."""
    for name, seconds in more.items():
        total[name] = total.get(name, 0.0) + seconds


class _State:
    """The rows of a batch on their way through the filters."""

    def __init__(self, rows: RowBatch, reason_N: "np.ndarray[Any, np.dtype[np.int16]]") -> None:
        self.rows = rows
        self.reason_N = reason_N
        self.evidence: dict[int, str] = {}
        self._tags: dict[int, list[JSON]] = {}

    def take(self, number: int, choice: Choice, verdicts: Verdicts, alive_N: "Mask", account: Account) -> None:
        """Do what a filter says of the rows that are alive."""
        import numpy as np

        if verdicts.rows is not None:
            whole = self.rows.batch
            changed = with_rows(whole, alive_N, verdicts.rows)
            self.rows = RowBatch(with_hashes(whole, changed), self.rows.base)
        self._annotate(verdicts, alive_N)
        account.counts.update({(choice.name, name): count for name, count in verdicts.counts.items()})
        places, gone = np.flatnonzero(alive_N), np.flatnonzero(verdicts.reason_N != KEPT)
        named = [f"{choice.name}: {reason}" for reason in verdicts.reasons]
        if choice.shared is not None and choice.shared.only_tag:
            said = {
                int(places[row]): (named[verdicts.reason_N[row]], verdicts.evidence.get(int(row), "")) for row in gone
            }
            self._tag(said, account)
            return
        numbers = [account.whys.setdefault(Why(number, reason), len(account.whys)) for reason in named]
        self.reason_N[places[gone]] = np.array(numbers, np.int16)[verdicts.reason_N[gone]] if numbers else KEPT
        self.evidence |= {int(places[row]): found for row in gone if (found := verdicts.evidence.get(int(row), ""))}

    def _annotate(self, verdicts: Verdicts, alive_N: "Mask") -> None:
        columns: dict[str, pyarrow.Array] = {}
        if verdicts.scores:
            spread = {name: _spread(score, alive_N) for name, score in verdicts.scores.items()}
            columns["scores"] = with_scores(self.rows.column("scores"), spread)
        for name, labels in verdicts.labels.items():
            texts = _spread_texts(labels, alive_N)
            if name == "domain":
                columns["domain"] = _where_empty(self.rows.column("domain"), texts)
            else:
                meta = columns.get("meta", self.rows.column("meta"))
                columns["meta"] = with_key(meta, name, as_json(texts))
        if columns:
            self.rows = self.rows.replaced(**columns)

    def _tag(self, said: Mapping[int, tuple[str, str]], account: Account) -> None:
        sources = self.rows.column("source")
        for row, (reason, evidence) in said.items():
            self._tags.setdefault(row, []).append({"reason": reason, "evidence": evidence})
            account.tagged[sources[row].as_py() or "unnamed", reason] += 1

    def tagged(self) -> "pyarrow.RecordBatch":
        """All rows, with what was said of them by filters that only tag."""
        import pyarrow as pa

        if not self._tags:
            return self.rows.batch
        written: list[str | None] = [None] * len(self.rows)
        for row, tags in self._tags.items():
            written[row] = json.dumps(tags, ensure_ascii=False)
        meta = with_key(self.rows.column("meta"), WOULD_DROP, pa.array(written, pa.string()))
        return with_columns(self.rows.batch, meta=meta)


def _spread(score: "np.ndarray[Any, np.dtype[np.float64]]", alive_N: "Mask") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """A score of the rows that are alive, as one of all N."""
    import numpy as np

    found_N = np.full(len(alive_N), np.nan)
    found_N[alive_N] = score
    return found_N


def _spread_texts(labels: "pyarrow.Array", alive_N: "Mask") -> "pyarrow.Array":
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(labels.type):
        labels = labels.cast(pa.string())
    place_N = np.cumsum(alive_N) - 1
    return labels.take(pa.array(place_N, mask=~alive_N))


def _where_empty(column: "pyarrow.Array", texts: "pyarrow.Array") -> "pyarrow.Array":
    import pyarrow.compute as pc

    empty = pc.equal(column.fill_null(""), "")
    return pc.if_else(pc.and_(empty, texts.is_valid()), texts, column)
