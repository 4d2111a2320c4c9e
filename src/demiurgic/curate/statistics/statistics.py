"""What a set of rows is like, in numbers that add up: `Statistics.of(these) + Statistics.of(those)` is that of both.

Everything is counted once per row, into tables whose size does not grow with the rows. Knows neither rules nor sources.
N rows, G groups of them, S slots, R registers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.metric import JSON
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.statistics.distinct import ERROR, REGISTERS, Distinct
from demiurgic.curate.statistics.histogram import Histogram
from demiurgic.curate.statistics.labels import label_of
from demiurgic.curate.statistics.words import SLOTS, WordCounts, distinct_error
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Numbers = np.ndarray[Any, np.dtype[np.int64]]

LONGEST_NGRAM = 3
LANGUAGE = "language"
"""The key of a row's meta that names its language."""
UNNAMED = "unnamed"
"""How rows without a domain, language, licence or source are called."""


@dataclass(frozen=True)
class Statistics:
    """Of some rows. `tokens` are estimated, of everything a row says; `answer_tokens` of its last answer alone.

    `words` and `distinct` (of 1-, 2- and 3-grams of words; `ngrams` is how many there were, repeats and all) are over
    everything said. The mappings hold how many rows have which domain, language and licence.
    """

    num_rows: int
    num_bytes: int
    tokens: Histogram
    answer_tokens: Histogram
    words: WordCounts
    distinct: tuple[Distinct, ...]
    ngrams: tuple[int, ...]
    domains: Mapping[str, int]
    languages: Mapping[str, int]
    licenses: Mapping[str, int]

    @classmethod
    def of(cls, rows: RowBatch) -> "Statistics":
        """Measure some rows."""
        import numpy as np

        (found,) = cls.of_groups(rows, np.zeros(len(rows), np.int64), num_groups=1)
        return found

    @classmethod
    def of_groups(cls, rows: RowBatch, group_N: "Numbers", *, num_groups: int) -> "list[Statistics]":
        """Measure some rows at once, each in its group."""
        import numpy as np

        whole = Texts.of(rows.whole)
        counts_GS = np.zeros((num_groups, SLOTS), np.int64)
        registers_G3R = np.zeros((num_groups, LONGEST_NGRAM, REGISTERS), np.uint8)
        ngrams_G3 = np.zeros((num_groups, LONGEST_NGRAM), np.int64)
        _tally(whole, group_N, counts_GS, registers_G3R, ngrams_G3)
        tokens_N, answer_tokens_N = _tokens(whole), _tokens(Texts.of(rows.answer))
        num_bytes_N = np.diff(whole.offsets_N1)
        labels = (rows.column("domain"), label_of(rows.column("meta"), LANGUAGE), rows.column("license"))
        named = [_counts(column, group_N, num_groups=num_groups) for column in labels]
        return [
            cls(
                int((group_N == group).sum()),
                int(num_bytes_N[group_N == group].sum()),
                Histogram.of(tokens_N[group_N == group]),
                Histogram.of(answer_tokens_N[group_N == group]),
                WordCounts(counts_GS[group]),
                tuple(map(Distinct, registers_G3R[group])),
                tuple(ngrams_G3[group].tolist()),
                *(counted[group] for counted in named),
            )
            for group in range(num_groups)
        ]

    @classmethod
    def nothing(cls) -> "Statistics":
        """Of no rows: what adding begins with."""
        import numpy as np

        empty = Histogram.of(np.zeros(0, np.int64))
        words = WordCounts(np.zeros(SLOTS, np.int64))
        distinct = tuple(Distinct(np.zeros(REGISTERS, np.uint8)) for _ in range(LONGEST_NGRAM))
        return cls(0, 0, empty, empty, words, distinct, (0,) * LONGEST_NGRAM, {}, {}, {})

    def __add__(self, other: "Statistics") -> "Statistics":
        return Statistics(
            self.num_rows + other.num_rows,
            self.num_bytes + other.num_bytes,
            self.tokens + other.tokens,
            self.answer_tokens + other.answer_tokens,
            self.words + other.words,
            tuple(ours + theirs for ours, theirs in zip(self.distinct, other.distinct, strict=True)),
            tuple(ours + theirs for ours, theirs in zip(self.ngrams, other.ngrams, strict=True)),
            _added(self.domains, other.domains),
            _added(self.languages, other.languages),
            _added(self.licenses, other.licenses),
        )

    def distinct_share(self, n: int) -> float | None:
        """distinct-n: different n-grams of words over all of them (Li et al. 2016, arXiv 1510.03055); None of none.

        It falls as a set grows: compare sets of like size, or the growth of the vocabulary at the same number of words.
        """
        total = self.ngrams[n - 1]
        return min(self.distinct[n - 1].count / total, 1.0) if total else None

    def to_json(self) -> dict[str, JSON]:
        """As `statistics.json` holds it; counts that are estimates stand with their relative standard error."""
        distinct: dict[str, JSON] = {
            str(n): {"of": self.ngrams[n - 1], "share": self.distinct_share(n), "error": ERROR}
            for n in range(1, LONGEST_NGRAM + 1)
        }
        growth: list[JSON] = [
            {"words": words, "distinct": round(found), "error": distinct_error(found)}
            for words, found in self.words.growth()
        ]
        return {
            "rows": self.num_rows,
            "bytes": self.num_bytes,
            "tokens": self.tokens.to_json(),
            "answer_tokens": self.answer_tokens.to_json(),
            "words": self.words.num_words,
            "entropy_bits": self.words.entropy_bits,
            "distinct": distinct,
            "vocabulary": growth,
            "domains": _sorted(self.domains),
            "languages": _sorted(self.languages),
            "licenses": _sorted(self.licenses),
        }


def _tokens(texts: Texts) -> "Numbers":
    import numpy as np

    from demiurgic.curate.statistics.lengths import estimate_tokens

    tokens_N = np.zeros(len(texts), np.int64)
    estimate_tokens(texts.bytes_B, texts.offsets_N1, tokens_N)
    return tokens_N


def _tally(texts: Texts, group_N: "Numbers", counts_GS: Any, registers_G3R: Any, ngrams_G3: Any) -> None:
    import numpy as np

    from demiurgic.text.kernels.word_tally import tally_words
    from demiurgic.text.kernels.words import room_for
    from demiurgic.text.letters import letters

    room = room_for(texts.longest_bytes)
    words_N = np.zeros(len(texts), np.int64)
    tally_words(texts.bytes_B, texts.offsets_N1, letters(), room, group_N, words_N, counts_GS, registers_G3R, ngrams_G3)


def _counts(column: "pyarrow.Array", group_N: "Numbers", *, num_groups: int) -> list[dict[str, int]]:
    """How many rows of each group have which text."""
    import numpy as np

    coded = column.fill_null("").dictionary_encode()
    names: Sequence[str] = [name or UNNAMED for name in coded.dictionary.to_pylist()]
    cells = np.bincount(group_N * len(names) + coded.indices.to_numpy(), minlength=num_groups * len(names))
    table = cells.reshape(num_groups, len(names)).tolist() if names else [[]] * num_groups
    found = [Counter[str]() for _ in range(num_groups)]
    for counter, row in zip(found, table, strict=True):
        for name, number in zip(names, row, strict=True):  # a row may itself be called "unnamed"
            counter[name] += number
    return [{name: number for name, number in counter.items() if number} for counter in found]


def _added(ours: Mapping[str, int], theirs: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(ours) + Counter(theirs))


def _sorted(counts: Mapping[str, int]) -> dict[str, JSON]:
    return {name: number for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}  # noqa: C416
