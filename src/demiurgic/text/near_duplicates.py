"""Which documents say almost what a better one says, with the document that stays and the exact similarity.

Knows documents as texts in an order, and nothing of rows, keys or sources. Similarity is the Jaccard index of the sets
of n-grams. Documents are taken best first; one goes if, and only if, it is at least `threshold` similar to one that
stays and was taken before it: that one is its witness, the most similar of those found (of equally similar ones the
better). So there are no chains: every witness stays. Documents with equal sets are as one: the best of them is
compared, and the others share what becomes of it, or go with it as their witness.

N documents, numbered as they come; K known ones, numbered from N.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.text.bands import Minhash, band_keys, choose_sharing, match
from demiurgic.text.chosen import NO_SET, Chosen
from demiurgic.text.join import Joined, join
from demiurgic.text.known import Known
from demiurgic.text.neighbours import Neighbours, known_of, similar_to
from demiurgic.text.ngrams import Shingling
from demiurgic.text.passes import Documents, Reader
from demiurgic.text.rare import choose_rare, common_ngrams, count_ngrams
from demiurgic.text.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from demiurgic.text.kernels.join import Sets

__all__ = [
    "Documents",
    "Exact",
    "Found",
    "Known",
    "Method",
    "Minhash",
    "Neighbours",
    "Shingling",
    "Workspace",
    "known_of",
    "near_duplicates",
    "similar_to",
]

STAYS = -1
"""In `witness_N`: no document that stays is so similar."""

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Exact:
    """Finds every similar pair: a join by the rarest n-grams of each document."""


Method = Exact | Minhash
EXACT, DEFAULT_SHINGLING = Exact(), Shingling()


@dataclass(frozen=True)
class Found:
    """What became of N documents."""

    witness_N: "np.ndarray[Any, np.dtype[np.int64]]"
    """`STAYS`, or the document that stays; from N on known document `witness - N`."""
    similarity_N: "np.ndarray[Any, np.dtype[np.float32]]"
    """With the witness; NaN where there is none."""
    common_C: "np.ndarray[Any, np.dtype[np.uint64]]"
    """The n-grams that stand in too many documents to count, rising."""
    num_candidates: int
    """Documents that were compared with another, or could have been."""
    num_verified: int
    """Pairs of different sets whose similarity was computed."""
    num_capped: int
    """Times that a document which stays found a band full of leaders, and so is not compared by that band."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall seconds by phase."""


def near_duplicates(
    documents: Documents,
    *,
    shingling: Shingling = DEFAULT_SHINGLING,
    threshold: float = 0.8,
    method: Method = EXACT,
    order_N: "np.ndarray[Any, np.dtype[np.int64]] | None" = None,
    known: Known | None = None,
    workspace: Workspace,
    threads: int = 1,
    on_progress: OnProgress | None = None,
) -> Found:
    """Find the documents that go.

    `order_N` names documents, best first; those it leaves out take no part. Without it the order is theirs. `known`
    documents are better than all others and stay. `on_progress` is told a phase, how many documents it has done and how
    many there are. Neither `threads` nor the workspace's limit changes what is found. Raises UserError where parameters
    do not fit each other.
    """
    import numpy as np

    require("numpy", "pyarrow", "numba")
    refuse_odd(shingling, threshold, method, known)
    reader = Reader(documents, shingling=shingling, known=known, threads=threads)
    clock = _Clock(reader.num_documents + reader.num_known, on_progress)
    order_N = np.arange(reader.num_documents) if order_N is None else order_N
    by_rank = np.concatenate([reader.num_documents + np.arange(reader.num_known), order_N]).astype(np.int64)
    wanted_M = np.zeros(reader.num_documents + reader.num_known, np.bool_)
    wanted_M[by_rank] = True
    common_C = np.zeros(0, np.uint64)
    if shingling.common_above is not None:
        with clock.phase("common n-grams"):
            common_C = common_ngrams(reader, shingling.common_above, wanted_M=wanted_M, workspace=workspace)
        reader.leave_out(common_C)
    run = _Run(reader, wanted_M, threshold, by_rank, workspace, clock)
    witness_N, similarity_N, chosen, joined = run.exactly() if isinstance(method, Exact) else run.by_bands(method)
    return Found(
        *(witness_N, similarity_N, common_C),
        num_candidates=chosen.num_documents,
        num_verified=joined.num_verified,
        num_capped=joined.num_capped,
        seconds=clock.seconds,
    )


def refuse_odd(shingling: Shingling, threshold: float, method: Method, known: Known | None) -> None:
    """Raises UserError where parameters do not fit each other."""
    if not 0 < threshold <= 1:
        raise UserError(f"The threshold is {threshold}; a similarity is above 0 and at most 1.")
    if shingling.n < 1 or (shingling.common_above is not None and shingling.common_above < 1):
        raise UserError(f"n is {shingling.n} and common_above {shingling.common_above}; both are at least 1.")
    if isinstance(method, Minhash) and (method.bands < 1 or method.permutations % method.bands or method.leaders < 1):
        raise UserError(
            f"{method.permutations} permutations do not make {method.bands} equal bands with {method.leaders} leaders. "
            "Take bands that divide the permutations, and one leader or more."
        )
    if known is not None and (known.shingling.unit, known.shingling.n) != (shingling.unit, shingling.n):
        raise UserError(
            f"The known documents were taken apart into {known.shingling.n}-grams of {known.shingling.unit}s; this run "
            f"asks for {shingling.n}-grams of {shingling.unit}s. Use the same, or make the index anew."
        )


@final
class _Clock:
    """Tells how far a phase is, and how long each took."""

    def __init__(self, num_documents: int, on_progress: OnProgress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._num_documents = num_documents
        self._on_progress = on_progress

    @contextmanager
    def phase(self, name: str) -> Iterator[Callable[[int], None]]:
        start = time.perf_counter()
        yield lambda done: self._on_progress(name, done, self._num_documents) if self._on_progress else None
        self.seconds[name] = time.perf_counter() - start


@dataclass(frozen=True)
class _Ranked:
    """The sets in the order they are taken, and which document stands for each: the best that has it.

    V documents that have a set, best first.
    """

    documents_V: Any
    sets_V: Any
    document_U: Any
    order_U: Any
    num_known: int

    @classmethod
    def of(cls, chosen: Chosen, by_rank: Any, *, num_documents: int) -> "_Ranked":
        import numpy as np

        sets = chosen.set_of_M[by_rank]
        documents_V, sets_V = by_rank[sets != NO_SET], sets[sets != NO_SET]
        document_U = np.zeros(chosen.num_sets, np.int64)
        document_U[sets_V[::-1]] = documents_V[::-1]  # of equal places the last assignment, here the best, stays
        first_V = document_U[sets_V] == documents_V
        num_known = int((documents_V[first_V] >= num_documents).sum())
        return cls(documents_V, sets_V, document_U, sets_V[first_V].astype(np.int64), num_known)


@dataclass(frozen=True)
class _Run:
    reader: Reader
    wanted_M: Any
    threshold: float
    by_rank: Any
    workspace: Workspace
    clock: _Clock

    def exactly(self) -> "tuple[Any, Any, Chosen, Joined]":
        wanted: dict[str, Any] = {"wanted_M": self.wanted_M, "workspace": self.workspace}
        with self.clock.phase("counting n-grams") as on_documents:
            counters = count_ngrams(self.reader, **wanted, on_documents=on_documents)
        with self.clock.phase("choosing candidates") as on_documents:
            chosen = choose_rare(self.reader, counters, threshold=self.threshold, **wanted, on_documents=on_documents)
        self.workspace.release(counters.counters_F)
        ranked = self._ranked(chosen)
        return self._joined(chosen, ranked, chosen.rare_sets(), marks_in_order=True, leaders=0)

    def by_bands(self, method: Minhash) -> "tuple[Any, Any, Chosen, Joined]":
        with self.clock.phase("signing") as on_documents:
            keys = band_keys(
                *(self.reader, method), wanted_M=self.wanted_M, workspace=self.workspace, on_documents=on_documents
            )
        with self.clock.phase("matching bands"):
            shared_M = match(keys, workspace=self.workspace, threads=self.reader.threads)
        with self.clock.phase("choosing candidates") as on_documents:
            chosen = choose_sharing(
                *(self.reader, keys), shared_M=shared_M, workspace=self.workspace, on_documents=on_documents
            )
        ranked = self._ranked(chosen)
        marks = keys.of(ranked.document_U, workspace=self.workspace)
        self.workspace.release(keys.keys_BM, keys.sizes_M, keys.shared_BM)
        return self._joined(chosen, ranked, chosen.marked_sets(marks), marks_in_order=False, leaders=method.leaders)

    def _ranked(self, chosen: Chosen) -> _Ranked:
        return _Ranked.of(chosen, self.by_rank, num_documents=self.reader.num_documents)

    def _joined(
        self, chosen: Chosen, ranked: _Ranked, sets: "Sets", *, marks_in_order: bool, leaders: int
    ) -> "tuple[Any, Any, Chosen, Joined]":
        with self.clock.phase("comparing") as on_sets:
            joined = join(
                *(sets, ranked.order_U),
                always=ranked.num_known,
                threshold=self.threshold,
                marks_in_order=marks_in_order,
                leaders=leaders,
                workspace=self.workspace,
                threads=self.reader.threads,
                on_sets=on_sets,
            )
        chosen.release()
        return *_witnesses(ranked, joined, self.reader.num_documents), chosen, joined


def _witnesses(ranked: _Ranked, joined: "Joined", num_documents: int) -> tuple[Any, Any]:
    """What became of the sets, said of their documents."""
    import numpy as np

    new = ranked.documents_V < num_documents
    documents, sets = ranked.documents_V[new], ranked.sets_V[new]
    best = joined.best_U[sets]
    stands = ranked.document_U[sets] == documents
    witness_N = np.full(num_documents, STAYS, np.int64)
    similarity_N = np.full(num_documents, np.nan, np.float32)
    similar, equal = best >= 0, (best < 0) & ~stands
    witness_N[documents[similar]] = ranked.document_U[best[similar]]
    similarity_N[documents[similar]] = joined.similarity_U[sets[similar]]
    witness_N[documents[equal]] = ranked.document_U[sets[equal]]
    similarity_N[documents[equal]] = 1.0
    return witness_N, similarity_N
