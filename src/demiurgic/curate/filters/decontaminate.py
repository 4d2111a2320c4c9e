"""Does the row hold a question of an evaluation set? Looks at all that it says; names benchmark and question."""

from collections import Counter
from pathlib import Path
from typing import Annotated

from pydantic import Field

from demiurgic.core.artifacts import Dataset
from demiurgic.core.metric import JSON
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.run.stage import Many
from demiurgic.text.contamination.sets import digests_of, scanner_of

REASON = "holds a question of an evaluation set"
Share = Annotated[float, Field(gt=0, le=1)]


def _files(base: Path, *, files: list[str], **_options: object) -> JSON:
    return digests_of(files, base=base)


@FILTERS.register("decontaminate", over="batch", fingerprint=_files)
def decontaminate(
    rows: RowBatch,
    *,
    files: list[str] = [],  # noqa: B006 (options are copied into a frozen model)
    data: Many[Dataset] = [],  # noqa: B006
    field: str | None = None,
    n: Annotated[int, Field(ge=4)] = 8,
    coverage: Share = 0.5,
    fuzzy: Share | None = 0.7,
    template_items: Annotated[int, Field(gt=0)] = 10,
) -> Verdicts:
    """Drop rows that hold a question of evaluation sets: `files` (paths, folders, globs) or datasets (`data`).

    `coverage` is the share of a question's words in matched n-grams of `n` words; `fuzzy` the share in 3-grams, numbers
    taken alike, for changed questions (null: not sought). n-grams of more than `template_items` questions do not count.
    `field` names the question in files of no known form.
    """
    import numpy as np

    from demiurgic.text.utf8 import Texts

    scanner = scanner_of(
        files, data, base=rows.base, n=n, template_items=template_items, coverage=coverage, fuzzy=fuzzy, field=field
    )
    hits = scanner.scan(Texts.of(rows.whole))
    found = {hit.text: hit for hit in (hits[place] for place in range(len(hits)))}
    held_N = np.zeros(len(rows), np.bool_)
    held_N[list(found)] = True
    counts = Counter(hit.item.benchmark for hit in found.values())
    return first_reason(len(rows), {REASON: (held_N, lambda row: found[row].evidence)}, counts=counts)
