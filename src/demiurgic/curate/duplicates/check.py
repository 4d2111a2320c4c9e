"""The run checks itself on a sample: how many of the near-duplicates it found, and how many of what it found are ones.

Recall: all neighbours of a few rows, sought by another way than the run's (`similar_to`); a row with a better neighbour
that stays should have gone. Precision: a few of the pairs found, compared again as plain sets of what their texts hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from demiurgic.core.metric import JSON, Metric
from demiurgic.core.seeds import Seeds
from demiurgic.curate.duplicates.fingerprints import shingling_of
from demiurgic.curate.duplicates.near import Pass, Passes
from demiurgic.curate.duplicates.plain import jaccard, ngrams
from demiurgic.stats.intervals import share
from demiurgic.text.neighbours import known_of, similar_to
from demiurgic.text.ngrams import Shingling

if TYPE_CHECKING:
    import numpy as np

    Places = np.ndarray[Any, np.dtype[np.int64]]

ROUNDING = 1e-6
"""Similarities are kept in 32 bits: one of exactly the threshold may read as a little less."""


@dataclass(frozen=True)
class Check:
    """Over all keys. A metric is None where the sample had nothing to measure it on."""

    num_sampled: int
    recall: Metric | None
    """Of the sampled rows that should have gone, the share that did."""
    precision: Metric | None
    """Of the sampled removals, the share that is as similar as asked."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        named = {"recall": self.recall, "precision": self.precision}
        return {name: metric for name, metric in named.items() if metric is not None}

    @property
    def facts(self) -> dict[str, JSON]:
        facts: dict[str, JSON] = {"rows_sampled": self.num_sampled}
        for name, metric in (("rows_that_should_go", self.recall), ("removals_compared_again", self.precision)):
            facts[name] = metric.n if metric else 0
        return facts


def check(done: Sequence[Pass], passes: Passes, *, sample: int, seeds: Seeds) -> Check:
    """Check each pass of the first round on `sample` of its rows and as many of its removals."""
    found = should = right = compared = num_sampled = 0
    for each in done:
        random = seeds.array_stream(f"check duplicates by {each.key}")
        chosen = _some(each.order, sample, random)
        expected = _should_go(each, chosen, passes)
        num_sampled += len(chosen)
        should += len(expected)
        found += int((each.found.witness_N[expected] >= 0).sum())
        gone = each.order[_in_this_run(each, each.order)]
        gone = _some(gone, sample, random)
        compared += len(gone)
        right += _num_similar(each, gone, passes)
    return Check(num_sampled, share(found, should) if should else None, share(right, compared) if compared else None)


def _some(places: "Places", most: int, random: "np.random.Generator") -> "Places":
    import numpy as np

    return np.sort(random.choice(places, min(most, len(places)), replace=False))


def _in_this_run(each: Pass, places: "Places") -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Whether they went in favour of a row whose text is here."""
    witness_N = each.found.witness_N
    chosen: np.ndarray[Any, np.dtype[np.bool_]] = (witness_N[places] >= 0) & (witness_N[places] < len(witness_N))
    return chosen


def _should_go(each: Pass, chosen: "Places", passes: Passes) -> "Places":
    """Those of the chosen rows that are similar to a better one which this pass left."""
    import numpy as np

    if not len(chosen):
        return chosen
    num_rows = len(each.found.witness_N)
    known = passes.known.get(each.key)
    pairs = similar_to(
        chosen,
        passes.texts[each.key],
        shingling=shingling_of(passes.near),
        threshold=passes.near.threshold,
        common_C=each.found.common_C,
        known=known,
        threads=passes.threads,
    )
    # Rows of earlier curations are better than any, and stay; those that took no part are worse than any.
    rank = np.full(num_rows + (len(known) if known else 0), -1, np.int64)
    rank[:num_rows] = np.iinfo(np.int64).max
    rank[each.order] = np.arange(len(each.order))
    stays = np.ones(len(rank), np.bool_)
    stays[:num_rows] = each.found.witness_N < 0
    better = (rank[pairs.document_P] < rank[chosen[pairs.sample_P]]) & stays[pairs.document_P]
    found: Places = chosen[np.unique(pairs.sample_P[better])]
    return found


def _num_similar(each: Pass, gone: "Places", passes: Passes) -> int:
    import numpy as np

    witnesses = each.found.witness_N[gone]
    texts = passes.texts[each.key].take(np.concatenate((gone, witnesses)))
    pairs = [(texts[int(row)], texts[int(witness)]) for row, witness in zip(gone, witnesses, strict=True)]
    shingling = shingling_of(passes.near)
    similar = (
        [jaccard(ngrams(left, shingling), ngrams(right, shingling)) for left, right in pairs]
        if shingling.common_above is None
        else _without_common(pairs, shingling, set(each.found.common_C.tolist()))
    )
    return sum(number >= passes.near.threshold - ROUNDING for number in similar)


def _without_common(pairs: Sequence[tuple[str, str]], shingling: Shingling, common: set[int]) -> list[float]:
    """Jaccard of what is left of each side; which n-grams are common is known by their hashes alone."""
    import numpy as np
    import pyarrow as pa

    texts = _Few(pa.array([text for pair in pairs for text in pair], pa.string()))
    known = known_of(texts, shingling=shingling, chosen_N=np.ones(texts.num_documents, np.bool_))
    bounds = known.offsets_K1.tolist()
    whole = [set(known.hashes_H[a:b].tolist()) for a, b in pairwise(bounds)]
    left = [ngrams - common or ngrams for ngrams in whole]
    return [len(a & b) / len(a | b) for a, b in zip(left[::2], left[1::2], strict=True)]


class _Few:
    """A few texts in memory."""

    def __init__(self, texts: Any) -> None:
        self._texts = texts
        self.num_documents = len(texts)

    def batches(self) -> Any:
        yield self._texts
