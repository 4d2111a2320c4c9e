"""The stage `audit`: a finished dataset looked at on a sample, in numbers with intervals that gates can bound."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from demiurgic.core.artifacts import Dataset
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.core.row_batch import RowBatch
from demiurgic.core.row_columns import with_columns, with_key
from demiurgic.curate.audit.alignment import ECHO, EMPTY, FORM
from demiurgic.curate.audit.copies import nearest, num_exact
from demiurgic.curate.audit.judge import INCOHERENT, UNTOLD, Judged, judge
from demiurgic.curate.audit.page import page
from demiurgic.curate.audit.sample import batches, draw
from demiurgic.curate.audit.spread import GROUPS, jackknifed
from demiurgic.curate.mix.write import ShardWriter
from demiurgic.curate.statistics import Statistics
from demiurgic.run.context import Context
from demiurgic.run.engine import usable_cores
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.stats import intervals

if TYPE_CHECKING:
    import numpy as np

WORST = "worst"
REPORT, PAGE = "audit.json", "audit.md"


class AuditConfig(StageConfig):
    data: Dataset
    sample: int = Field(default=2000, ge=20)
    """How many rows to look at closely; all of them where there are fewer."""
    languages: list[str] = Field(default=["en", "code"], min_length=1)
    """What the rows should be in: ISO 639-1, or `code`. Read from their meta, or from the text where none has it."""
    similar: float = Field(default=0.8, gt=0, le=1)
    """From which Jaccard similarity of word 3-grams two rows count as near-copies."""
    worst: int = Field(default=50, ge=0)
    """How many of the rows with most problems to keep for reading."""


def run(config: AuditConfig, out: Path, context: Context) -> Summary:
    """Look at a finished dataset on a sample: language, coherence, alignment, copies left, entropy."""
    if config.data.num_rows < 2:
        raise UserError(f"audit: the data has {config.data.num_rows} rows; an audit wants at least 2.")
    random = context.random.array_stream("audit")
    with context.console.progress("auditing", total=4) as progress:
        number_S, rows = draw(config.data, size=config.sample, random=random)
        progress.advance()
        copies, num_single = num_exact(config.data)
        progress.advance()
        threads = context.engine.workers or usable_cores()
        near = nearest(config.data, number_S, threshold=config.similar, threads=threads)
        progress.advance()
        names = _ids(config.data, {found.row for found in near.values()})
        judged = judge(rows, wanted=config.languages, near=near, names=names)
        metrics = {
            "rows": Metric.exact(config.data.num_rows),
            "sampled": Metric.exact(len(rows)),
            **_shares(judged, wanted=config.languages),
            "exact_copies": Metric.exact(copies / max(1, num_single)),
            "near_copies": intervals.share(len(near), len(rows)),
            **_words(rows, random=random),
        }
    summary = Summary(metrics, _facts(judged))
    _write_worst(rows, judged, out / WORST, most=config.worst)
    write_text(out / REPORT, json.dumps(summary.to_json(), indent=1, ensure_ascii=False) + "\n")
    write_text(out / PAGE, page(summary, rows, judged, most=config.worst))
    return summary


def _shares(judged: Judged, *, wanted: list[str]) -> dict[str, Metric]:
    """What rows are like one by one; those that ask nothing have no alignment, and shares of none are left out."""
    num_rows = len(judged.problems)
    found = {
        "coherence": intervals.mean(judged.coherence_S.tolist()),
        "incoherent": intervals.share(int((judged.coherence_S < INCOHERENT).sum()), num_rows),
        "language_share": intervals.share(sum(name in (*wanted, UNTOLD) for name in judged.languages), num_rows),
    }
    asked = [alignment for alignment in judged.alignments if alignment is not None]
    if asked:
        found["aligned"] = intervals.share(sum(not each.problems for each in asked), len(asked))
        found["empty_answers"] = intervals.share(sum(EMPTY in each.problems for each in asked), len(asked))
        found["echoes"] = intervals.share(sum(ECHO in each.problems for each in asked), len(asked))
    formed = [each for each in asked if each.form]
    if formed:
        missed = sum(any(problem.startswith(FORM) for problem in each.problems) for each in formed)
        found["form_as_asked"] = intervals.share(len(formed) - missed, len(formed))
    overlaps = [each.overlap for each in asked if each.overlap is not None]
    if len(overlaps) > 1:
        found["words_taken_up"] = intervals.mean(overlaps)
    return found


def _words(rows: RowBatch, *, random: "np.random.Generator") -> dict[str, Metric]:
    """Entropy and distinct-n of the sample: to be compared with those of samples of the same size."""
    import numpy as np

    num_groups = min(GROUPS, len(rows))
    group_N = random.permutation(np.arange(len(rows)) % num_groups)
    groups = Statistics.of_groups(rows, group_N, num_groups=num_groups)
    found = {"entropy_bits": jackknifed(groups, lambda each: each.words.entropy_bits)}
    for n in (1, 2, 3):
        found[f"distinct_{n}"] = jackknifed(groups, lambda each, n=n: each.distinct_share(n))  # type: ignore[misc]
    return {name: metric for name, metric in found.items() if metric is not None}


def _facts(judged: Judged) -> dict[str, JSON]:
    kinds = Counter[str]()
    for problems in judged.problems:
        kinds.update({_kind(problem) for problem in problems})
    return {
        "languages": dict(Counter(judged.languages).most_common()),
        "problems": dict(kinds.most_common()),
        "rows_with_problems": sum(bool(problems) for problems in judged.problems),
    }


def _kind(problem: str) -> str:
    """A problem without what is particular to one row."""
    if " like " in problem:
        return "near-copy"
    return "incoherent" if problem.startswith("coherence ") else problem


def _ids(data: Dataset, numbers: set[int]) -> dict[int, str]:
    """The ids of some rows by their number."""
    found: dict[int, str] = {}
    first = 0
    wanted = sorted(numbers)
    for batch in batches(data, ["id"]) if wanted else ():
        found |= {row: batch.column("id")[row - first].as_py() for row in wanted if first <= row < first + len(batch)}
        first += len(batch)
    return found


def _write_worst(rows: RowBatch, judged: Judged, folder: Path, *, most: int) -> None:
    """The worst rows as a dataset, each with what is wrong in its meta (`audit`)."""
    import pyarrow as pa

    chosen = judged.worst_first[:most]
    with ShardWriter(folder) as writer:
        if not chosen:
            return
        said = [
            json.dumps(
                {"problems": list(judged.problems[place]), "coherence": round(float(judged.coherence_S[place]), 4)},
                ensure_ascii=False,
            )
            for place in chosen
        ]
        batch = rows.batch.take(pa.array(chosen))
        writer.write(with_columns(batch, meta=with_key(batch.column("meta"), "audit", pa.array(said, pa.string()))))


STAGE: Stage[Any] = Stage(
    "audit",
    AuditConfig,
    run,
    makes={WORST: Dataset},
    uses_seed=True,
    needs=("pyarrow", "numba"),
)
