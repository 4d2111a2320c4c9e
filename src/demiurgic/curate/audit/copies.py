"""What is left of copies in a dataset: rows that say exactly what an earlier one says, and rows like many others.

Rows that a mix repeated on purpose are none. N rows, S of them drawn.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Dataset
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.audit.sample import REPEAT_OF, Said, batches
from demiurgic.curate.statistics.labels import label_of
from demiurgic.text.neighbours import similar_to
from demiurgic.text.ngrams import Shingling

if TYPE_CHECKING:
    import numpy as np

    Places = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Neighbour:
    """The row most like a drawn one: its number and the Jaccard similarity of their word 3-grams."""

    row: int
    similarity: float


def num_exact(data: Dataset) -> tuple[int, int]:
    """How many rows say exactly what an earlier one says, of how many; those repeated on purpose are left out."""
    import numpy as np

    from demiurgic.curate.duplicates.said import SAID_COLUMNS, said_hashes

    found = []
    for batch in batches(data, [*SAID_COLUMNS, "meta"]):
        once = label_of(batch.column("meta"), REPEAT_OF).is_null().to_numpy(zero_copy_only=False)
        found.append(said_hashes(RowBatch(batch))[once])
    hashes_N2 = np.concatenate(found)
    different = np.unique(np.ascontiguousarray(hashes_N2).view([("high", "u8"), ("low", "u8")]))
    return len(hashes_N2) - len(different), len(hashes_N2)


def nearest(data: Dataset, number_S: "Places", *, threshold: float, threads: int) -> dict[int, Neighbour]:
    """By place in the sample the most similar other row, for those that have one at least `threshold` similar.

    Compared with all rows, not only with those drawn.
    """
    found = similar_to(number_S, Said(data), shingling=Shingling(), threshold=threshold, threads=threads)
    best: dict[int, Neighbour] = {}
    for place, row, similarity in zip(
        found.sample_P.tolist(), found.document_P.tolist(), found.similarity_P.tolist(), strict=True
    ):
        if place not in best or similarity > best[place].similarity:
            best[place] = Neighbour(row, similarity)
    return best
