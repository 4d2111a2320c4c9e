"""All documents similar to a few, by counting every n-gram they share: slow and plain, to check faster ways by.

P pairs; S documents of the sample; G n-grams of the sample, each as often as sample documents have it.
"""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.optional import require
from demiurgic.text.known import Known
from demiurgic.text.ngrams import Shingling
from demiurgic.text.passes import Documents, Reader, Task

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Neighbours:
    """P pairs at least as similar as asked: `sample_P[p]` is the place in the sample, `document_P[p]` the document."""

    sample_P: "np.ndarray[Any, np.dtype[np.int64]]"
    document_P: "np.ndarray[Any, np.dtype[np.int64]]"
    similarity_P: "np.ndarray[Any, np.dtype[np.float32]]"


def similar_to(
    sample_S: "np.ndarray[Any, np.dtype[np.int64]]",
    documents: Documents,
    *,
    shingling: Shingling,
    threshold: float = 0.8,
    common_C: "np.ndarray[Any, np.dtype[np.uint64]] | None" = None,
    known: Known | None = None,
    threads: int = 1,
) -> Neighbours:
    """All documents (known ones from N on) similar to those of a sample, themselves left out; by sample, then document.

    Takes another way than `near_duplicates`, so that a run can be checked by it: no prefix, no bands, no order.
    `common_C` is `Found.common_C` of that run.
    """
    import numpy as np

    require("numpy", "pyarrow", "numba")
    from demiurgic.text.kernels.neighbours import count_shared

    reader = Reader(documents, shingling=shingling, known=known, threads=threads)
    if common_C is not None:
        reader.leave_out(common_C)
    num = reader.num_documents + reader.num_known
    index = _SampleIndex.of(sample_S, reader, num)
    found: list[Any] = []

    def work(task: Task) -> None:
        pairs = count_shared(
            *(task.hashes_S, task.starts_D1, task.first, task.room.more_L, task.room.spare_L, task.room.ends_L),
            *(index.grams_G, index.owners_G, index.places, index.sizes_S, threshold),
        )
        found.append(pairs)

    reader.read(work, wanted_N=np.ones(num, np.bool_))
    sample_P, document_P, similarity_P = (np.concatenate([pairs[part] for pairs in found]) for part in range(3))
    other = np.asarray(sample_S)[sample_P] != document_P
    by = np.lexsort((document_P[other], sample_P[other]))
    return Neighbours(sample_P[other][by], document_P[other][by], similarity_P[other][by].astype(np.float32))


@dataclass(frozen=True)
class _SampleIndex:
    """n-grams of the sample, rising, with who has each; `places` finds the first of each."""

    grams_G: Any
    owners_G: Any
    places: Any
    sizes_S: Any

    @classmethod
    def of(cls, sample_S: Any, reader: Reader, num: int) -> "_SampleIndex":
        import numpy as np

        from demiurgic.text.kernels.neighbours import index_places

        sets = sets_of(reader, np.isin(np.arange(num), sample_S))
        members = [sets[int(document)] for document in sample_S]
        sizes_S = np.array([len(each) for each in members], np.int64)
        grams = np.concatenate([*members, np.zeros(0, np.uint64)])
        by = np.argsort(grams, kind="stable")
        owners = np.repeat(np.arange(len(members), dtype=np.int64), sizes_S)[by]
        places = np.full(1 << (2 * len(grams) + 1).bit_length(), -1, np.int64)
        index_places(grams[by], places)
        return cls(grams[by], owners, places, sizes_S)


def sets_of(reader: Reader, wanted_N: "np.ndarray[Any, np.dtype[np.bool_]]") -> "dict[int, Any]":
    """The n-grams of each wanted document, once each and rising."""
    from demiurgic.text.kernels.sets import sort_distinct

    found: dict[int, Any] = {}
    lock = threading.Lock()

    def work(task: Task) -> None:
        for place in range(task.num_documents):
            if wanted_N[task.first + place]:
                hashes = task.hashes_S[task.starts_D1[place] : task.starts_D1[place + 1]]
                count = sort_distinct(hashes, len(hashes), task.room.spare_L, task.room.ends_L)
                with lock:
                    found[task.first + place] = hashes[:count].copy()

    reader.read(work, wanted_N=wanted_N)
    return found


def known_of(
    documents: Documents, *, shingling: Shingling, chosen_N: "np.ndarray[Any, np.dtype[np.bool_]]", threads: int = 1
) -> Known:
    """The chosen documents, as later runs need them; known document k is the k-th chosen one."""
    import numpy as np

    require("numpy", "pyarrow", "numba")
    from demiurgic.text.kernels.neighbours import distinct_of_all

    reader = Reader(documents, shingling=shingling, known=None, threads=threads)
    parts: dict[int, tuple[Any, Any]] = {}

    def work(task: Task) -> None:
        counts_D = np.zeros(task.num_documents, np.int64)
        total = distinct_of_all(task.hashes_S, task.starts_D1, task.room.spare_L, task.room.ends_L, counts_D)
        chosen = chosen_N[task.first : task.first + task.num_documents]
        parts[task.first] = task.hashes_S[:total].copy(), counts_D[chosen]

    reader.read(work, wanted_N=chosen_N)
    in_order = [parts[first] for first in sorted(parts)]
    hashes = np.concatenate([np.zeros(0, np.uint64), *(part[0] for part in in_order)])
    counts = np.concatenate([np.zeros(1, np.int64), *(part[1] for part in in_order)])
    return Known(shingling, hashes, np.cumsum(counts))
