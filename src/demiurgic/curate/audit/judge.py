"""What is wrong with each drawn row, in words, and how much it weighs. S rows drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.audit.alignment import Alignment, align
from demiurgic.curate.audit.copies import Neighbour
from demiurgic.curate.statistics.labels import label_of
from demiurgic.curate.statistics.statistics import LANGUAGE, UNNAMED
from demiurgic.text.language import languages_of
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np

UNTOLD = "untold"
"""The language of rows without letters, where no row names one: nothing speaks against them."""
INCOHERENT = 0.5
"""Coherence below which a row is named for it."""


@dataclass(frozen=True)
class Judged:
    """What was measured on each drawn row. `alignments` has None for rows that ask nothing (plain text)."""

    languages: Sequence[str]
    """As their meta names them; told from the text where no drawn row's meta names one."""
    coherence_S: "np.ndarray[Any, np.dtype[np.float64]]"
    alignments: Sequence[Alignment | None]
    problems: Sequence[tuple[str, ...]]

    @property
    def worst_first(self) -> list[int]:
        """Rows with a problem: most problems first, of equally many the least coherent."""
        bad = [place for place, problems in enumerate(self.problems) if problems]
        return sorted(bad, key=lambda place: (-len(self.problems[place]), self.coherence_S[place], place))


def judge(
    rows: RowBatch,
    *,
    wanted: Sequence[str],
    near: Mapping[int, Neighbour],
    names: Mapping[int, str],
) -> Judged:
    """Look at each row; `near` are the rows most like them by place, `names` the ids of those by number."""
    from demiurgic.curate.quality.score import quality_of

    languages = _languages(rows)
    coherence_S = quality_of(rows).coherence_N
    alignments = _alignments(rows)
    problems = []
    for place, alignment in enumerate(alignments):
        found = list(alignment.problems) if alignment is not None else []
        if languages[place] not in (*wanted, UNTOLD):
            found.append(f"language {languages[place]}")
        if coherence_S[place] < INCOHERENT:
            found.append(f"coherence {coherence_S[place]:.2f}")
        if place in near:
            found.append(f"{near[place].similarity:.2f} like {names[near[place].row]}")
        problems.append(tuple(found))
    return Judged(languages, coherence_S, alignments, problems)


def _languages(rows: RowBatch) -> list[str]:
    labels = label_of(rows.column("meta"), LANGUAGE).to_pylist()
    if any(labels):
        return [label or UNNAMED for label in labels]
    return [name or UNTOLD for name in languages_of(Texts.of(rows.whole)).names.to_pylist()]


def _alignments(rows: RowBatch) -> list[Alignment | None]:
    columns = (rows.question.to_pylist(), rows.answer.to_pylist(), rows.is_text_N.tolist())
    return [
        None if is_text or not question.strip() else align(question, answer)
        for question, answer, is_text in zip(*columns, strict=True)
    ]
