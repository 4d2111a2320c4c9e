"""The stage `curate`: filter, de-duplicate, split by group; every row that goes says why, and the sums are checked."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from demiurgic.core.artifacts import Dataset
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.core.records import Row, RowWriter
from demiurgic.core.registry import Choice
from demiurgic.curate.duplicates import Seen
from demiurgic.curate.filters import FILTERS, Drop, FilterChoice
from demiurgic.curate.judge import Judged, judge
from demiurgic.curate.row_fields import Wanted
from demiurgic.curate.split import SIDES, Side, Split, side_of, split_group
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig

DROPPED = "dropped"
ACCOUNTING = "accounting.json"


def _usual_filters() -> list[Choice]:
    return [FILTERS.choose(name) for name in ("schema", "fits_dialect", "length", "python_syntax")]


class CurateConfig(StageConfig):
    data: Dataset
    filters: list[FilterChoice] = Field(default_factory=_usual_filters)
    """In this order; the first that drops a row gives the reason."""
    deduplicate: Literal["exact", "none"] = "exact"
    """`exact`: of rows that ask and answer the same, the first stays."""
    split: Split = Split()


class _Account:
    """Where every row went."""

    def __init__(self) -> None:
        self.rows_in = 0
        self.kept: Counter[str] = Counter()
        self.dropped: dict[str, Counter[str]] = {}
        self.sides: dict[str, Side] = {}

    def place(self, group: str, side: Side) -> None:
        if self.sides.setdefault(group, side) != side:
            raise AssertionError(f"the group {group} is on two sides: {self.sides[group]} and {side}")
        self.kept[side] += 1

    def drop(self, row: Row, reason: str) -> None:
        self.dropped.setdefault(row.source or "unnamed", Counter())[reason] += 1

    @property
    def num_dropped(self) -> int:
        return sum(reasons.total() for reasons in self.dropped.values())

    def check(self, *, num_rows: int, written: Mapping[str, int]) -> None:
        """Raises AssertionError unless all `num_rows` of the data came in, and each part was `written` what it got."""
        counted = {part: self.kept[part] for part in SIDES} | {DROPPED: self.num_dropped}
        if self.rows_in != num_rows or sum(counted.values()) != num_rows or counted != written:
            raise AssertionError(
                f"rows were lost: the data holds {num_rows}, {self.rows_in} came in, {counted} were counted and "
                f"{dict(written)} written"
            )

    def groups(self) -> dict[str, int]:
        counts = Counter(self.sides.values())
        return {side: counts[side] for side in SIDES}

    def summary(self) -> Summary:
        numbers: dict[str, int] = {"rows_in": self.rows_in, DROPPED: self.num_dropped}
        numbers |= {side: self.kept[side] for side in SIDES}
        groups: dict[str, JSON] = dict(self.groups())
        dropped: dict[str, JSON] = {}
        for source, reasons in sorted(self.dropped.items()):
            dropped[source] = dict(sorted(reasons.items()))
        metrics = {name: Metric.exact(number) for name, number in numbers.items()}
        return Summary(metrics, {"groups": groups, "dropped": dropped})


def run(config: CurateConfig, out: Path, context: Context) -> Summary:
    """Keep the rows worth training on, split them by group, and write down why each other row went."""
    account, seen, wanted = _Account(), Seen(), Wanted(_fields_read(config.filters))
    seed = context.random.number("split")
    num_rows = config.data.num_rows
    with ExitStack() as stack:
        writers = {part: stack.enter_context(RowWriter(out / part)) for part in (*SIDES, DROPPED)}
        progress = stack.enter_context(context.console.progress("curating", total=num_rows))
        judged = judge(config.data.rows(), filters=config.filters, engine=context.engine, num_rows=num_rows)
        for item in judged:
            account.rows_in += 1
            wanted.see(item.row)
            progress.advance()
            drop = item.drop or (_repeat(item, seen) if config.deduplicate == "exact" else None)
            if drop:
                account.drop(item.row, drop.reason)
                writers[DROPPED].write(_with_reason(item.row, drop))
                continue
            group = split_group(item.row, by=config.split.by)
            side = side_of(group, split=config.split, seed=seed)
            account.place(group, side)
            writers[side].write(item.row)
    account.check(num_rows=num_rows, written={part: writer.num_rows for part, writer in writers.items()})
    if account.rows_in:
        wanted.check()
    summary = account.summary()
    write_text(out / ACCOUNTING, json.dumps(summary.to_json(), indent=1, ensure_ascii=False) + "\n")
    _check_sides(account, config.split)
    return summary


def _fields_read(filters: Sequence[Choice]) -> list[str]:
    options = ((choice, choice.entry.facts.get("reads")) for choice in filters)
    return [str(getattr(choice.options, str(option))) for choice, option in options if option]


def _repeat(item: Judged, seen: Seen) -> Drop | None:
    witness = seen.witness(item.row)
    return None if witness is None else Drop("duplicate: an earlier row says the same", witness)


def _with_reason(row: Row, drop: Drop) -> Row:
    facts = {**row.facts, "dropped": {"reason": drop.reason, "evidence": drop.evidence}}
    return replace(row, meta=json.dumps(facts, ensure_ascii=False, sort_keys=True))


def _check_sides(account: _Account, split: Split) -> None:
    empty = [side for side in SIDES if split.share(side) > 0 and not account.kept[side]]
    if not empty:
        return
    groups = account.groups()
    counts = ", ".join(f"{side} {number}" for side, number in groups.items())
    raise UserError(
        f"No row is left for {' and '.join(empty)}: of {account.rows_in} rows {account.num_dropped} were dropped"
        f"{_commonest(account.dropped.values())}, and the others are in {sum(groups.values())} groups by {split.by} "
        f"({counts}). Split by something finer, ask for other shares, or give the step another seed."
    )


def _commonest(counts: Iterable[Counter[str]]) -> str:
    total = sum(counts, Counter[str]())
    return f" (most for {total.most_common(1)[0][0]})" if total else ""


STAGE = Stage(
    "curate",
    CurateConfig,
    run,
    makes={**dict.fromkeys(SIDES, Dataset), DROPPED: Dataset},
    uses_seed=True,
    needs=("pyarrow",),
)
