"""The stage `curate`: filter, find duplicates, select, split by group; every row that goes says why, and the sums are
checked.

The filters see one slice of the rows at a time, in worker processes. What looks at all rows at once runs after them,
on columns, and texts stay on disk.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from demiurgic.core.artifacts import Artifact, Dataset, Fingerprints
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import Summary
from demiurgic.core.records import count_rows
from demiurgic.core.registry import Choice
from demiurgic.curate.card import write_card
from demiurgic.curate.duplicates.config import Duplicates, DuplicatesChoice
from demiurgic.curate.duplicates.fingerprints import write_fingerprints
from demiurgic.curate.duplicates.rule import find_duplicates
from demiurgic.curate.fates import Fates, check_sums, summary_of
from demiurgic.curate.filters import FILTERS, FilterChoice
from demiurgic.curate.judge import add_seconds
from demiurgic.curate.row_pass import row_pass
from demiurgic.curate.same_ids import same_ids
from demiurgic.curate.select import Select, select
from demiurgic.curate.split import SIDES, Split, shares_of, sides_of
from demiurgic.curate.took import Took
from demiurgic.curate.write import DROPPED, Written, write_parts
from demiurgic.run.context import Context
from demiurgic.run.engine import usable_cores
from demiurgic.run.stage import ONLY_SPEED, Many, Stage, StageConfig
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

ACCOUNTING = "accounting.json"
INDEX = "index"
SCRATCH = "scratch"


def _usual_filters() -> list[Choice]:
    return [FILTERS.choose(name) for name in ("schema", "fits_dialect", "length", "python_syntax")]


class CurateConfig(StageConfig):
    data: Many[Dataset] = Field(min_length=1)
    """One dataset, or several: duplicates are sought across all of them."""
    filters: list[FilterChoice] = Field(default_factory=_usual_filters)
    """In this order; the first that drops a row gives the reason."""
    deduplicate: DuplicatesChoice = Duplicates()
    """`exact` (of rows that ask and answer the same one stays), `near`, `none`, or settings."""
    select: Select | None = None
    """Which of the good rows to keep."""
    split: Split = Split()
    memory_gb: Annotated[float, Field(gt=0), ONLY_SPEED] = 1.0
    """What the search for duplicates may hold in memory; beyond it arrays lie on disk."""


def run(config: CurateConfig, out: Path, context: Context) -> Summary:
    """Keep the rows worth training on, split them by group, and write down why each other row went."""
    num_rows = sum(data.num_rows for data in config.data)
    threads = context.engine.workers or usable_cores()
    took = Took()
    with _scratch(out) as folder:
        with took.wall("row pass"):
            passed = row_pass(
                config.data, filters=config.filters, folder=folder, base=context.base, engine=context.engine,
                console=context.console,
            )  # fmt: skip
        add_seconds(took.cpu_seconds, passed.cpu_seconds)
        fates = Fates(passed, [choice.name for choice in config.filters])
        with Workspace(folder, int(config.memory_gb * 1e9)) as workspace:
            _decide(fates, config, context, workspace=workspace, threads=threads, took=took)
            if config.deduplicate.keep_index:
                write_fingerprints(
                    out / INDEX, fates.spill, fates.alive_N, config=config.deduplicate, workspace=workspace,
                    threads=threads,
                )  # fmt: skip
        with took.both("split"):
            seed = context.random.number("split")
            share_N = shares_of(fates.spill, fates.alive_N, split=config.split, seed=seed)
            side_N = sides_of(share_N, split=config.split)
        with took.wall("writing"):
            written = write_parts(fates, side_N, out, sides=SIDES, threads=threads, console=context.console)
    kept, groups = _counts(fates, side_N, share_N)
    parts = {part: count_rows(out / part) for part in (*SIDES, DROPPED)}
    check_sums(fates, num_rows=num_rows, kept=kept, written=parts, dropped=DROPPED)
    summary = summary_of(fates, passed, kept=kept, groups=groups)
    add_seconds(took.cpu_seconds, written.cpu_seconds)
    _write_evidence(out, fates, written, summary, config, took=took)
    _check_sides(summary, kept, groups, config.split)
    return summary


def _decide(
    fates: Fates, config: CurateConfig, context: Context, *, workspace: Workspace, threads: int, took: Took
) -> None:
    """The rules that look at all rows at once, in their fixed order."""
    with took.both("id"):
        fates.take("id", same_ids(fates.spill, fates.alive_N))
    if config.deduplicate.does_anything:
        with took.both("duplicates"):
            found = find_duplicates(
                fates.spill, fates.alive_N, config=config.deduplicate, workspace=workspace, threads=threads,
                console=context.console, seeds=context.random,
            )  # fmt: skip
            fates.take("duplicates", found)
    if config.select is not None:
        with took.both("select"):
            fates.take("select", select(fates.spill, fates.alive_N, config.select))


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder for what is needed only while the stage runs."""
    folder = out / SCRATCH
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _counts(
    fates: Fates, side_N: "np.ndarray[Any, Any]", share_N: "np.ndarray[Any, Any]"
) -> tuple[dict[str, int], dict[str, int]]:
    """Rows and groups of each side."""
    import numpy as np

    chosen = [fates.alive_N & (side_N == place) for place in range(len(SIDES))]
    rows: dict[str, int] = {side: int(mask.sum()) for side, mask in zip(SIDES, chosen, strict=True)}
    return rows, {side: len(np.unique(share_N[mask])) for side, mask in zip(SIDES, chosen, strict=True)}


def _write_evidence(
    out: Path, fates: Fates, written: Written, summary: Summary, config: CurateConfig, *, took: Took
) -> None:
    write_text(out / ACCOUNTING, json.dumps(summary.to_json(), indent=1, ensure_ascii=False) + "\n")
    took.write(out)
    statistics = written.tally.write(out, rules=fates.rules, parts=SIDES)
    write_card(out, summary=summary, statistics=statistics, inputs=[data.manifest for data in config.data])


def _check_sides(summary: Summary, kept: Mapping[str, int], groups: Mapping[str, int], split: Split) -> None:
    empty = [side for side in SIDES if split.share(side) > 0 and not kept[side]]
    if not empty:
        return
    counts = ", ".join(f"{side} {number}" for side, number in groups.items())
    num_in, num_dropped = (round(summary.metrics[name].value) for name in ("rows_in", DROPPED))
    said = (
        f"No row is left for {' and '.join(empty)}: of {num_in} rows {num_dropped} were dropped"
        f"{_commonest(summary.facts[DROPPED])}"
    )
    if not num_in:
        raise UserError(f"{said}. The data is empty: look at what the steps before dropped, and why.")
    if num_dropped == num_in:
        raise UserError(f"{said}. Loosen what dropped them, or leave it out.")
    raise UserError(
        f"{said}, and the others are in {sum(groups.values())} groups by {split.by} ({counts}). Split by something "
        "finer, ask for other shares, or give the step another seed."
    )


def _commonest(dropped: Any) -> str:
    total: Counter[str] = sum(map(Counter, dropped.values()), Counter())
    return f" (most for {total.most_common(1)[0][0]})" if total else ""


def _parts(config: CurateConfig) -> Mapping[str, type[Artifact]]:
    index = {INDEX: Fingerprints} if config.deduplicate.keep_index else {}
    return {**dict.fromkeys(SIDES, Dataset), DROPPED: Dataset, **index}


def _needs(config: CurateConfig) -> Sequence[str]:
    named: list[Any] = [choice.entry.facts.get("needs") or [] for choice in config.filters]
    return ("pyarrow", "numba", *sorted({package for packages in named for package in packages}))


STAGE = Stage("curate", CurateConfig, run, makes=_parts, version=2, uses_seed=True, needs=_needs)
