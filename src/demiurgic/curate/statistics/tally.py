"""Statistics by where rows come from and where they go, added up while they are written; how each rule changed them.

A row is measured once. Its fate is the part it goes to, or the rule that drops it; what the rows were like after a rule
is then the sum over all later fates.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.statistics.statistics import LANGUAGE, UNNAMED, Statistics

if TYPE_CHECKING:
    import numpy as np

FILE = "statistics.json"
AS_THEY_CAME = "as they came"


@dataclass
class Tally:
    """Statistics by (source, fate). Two tallies add up, so that threads and processes can each keep their own."""

    found: dict[tuple[str, str], Statistics] = field(default_factory=dict)

    def add(self, rows: RowBatch, fates: Sequence[str], fate_N: "np.ndarray[Any, np.dtype[Any]]") -> None:
        """Measure rows; `fate_N` is the place of each row's fate in `fates`.

        Fates are parts (`train`) and rules (`length`), not reasons: those are counted elsewhere.
        """
        import numpy as np

        if not len(rows):
            return
        coded = rows.column("source").fill_null("").dictionary_encode()
        sources = coded.dictionary.to_pylist()
        pair_N = fate_N.astype(np.int64) * len(sources) + coded.indices.to_numpy()
        pairs, group_N = np.unique(pair_N, return_inverse=True)
        measured = Statistics.of_groups(rows, group_N.astype(np.int64), num_groups=len(pairs))
        for pair, statistics in zip(pairs.tolist(), measured, strict=True):
            fate, source = divmod(pair, len(sources))
            self._add((sources[source] or UNNAMED, fates[fate]), statistics)

    def _add(self, key: tuple[str, str], statistics: Statistics) -> None:
        known = self.found.get(key)
        self.found[key] = statistics if known is None else known + statistics

    def __add__(self, other: "Tally") -> "Tally":
        both = Tally(dict(self.found))
        for key, statistics in other.found.items():
            both._add(key, statistics)
        return both

    def of(self, *, sources: Iterable[str] | None = None, fates: Iterable[str] | None = None) -> Statistics:
        """The sum over some sources and fates; None is all."""
        chosen = None if sources is None else set(sources)
        wanted = None if fates is None else set(fates)
        parts = (
            statistics
            for (source, fate), statistics in self.found.items()
            if (chosen is None or source in chosen) and (wanted is None or fate in wanted)
        )
        return reduce(add, parts, Statistics.nothing())

    @property
    def sources(self) -> list[str]:
        return sorted({source for source, _ in self.found})

    def states(self, *, rules: Sequence[str], parts: Sequence[str]) -> list[tuple[str, Statistics]]:
        """What the rows were like as they came, and after each rule that dropped some, in order.

        Raises AssertionError for a fate that is neither a rule nor a part: its rows would be in no state.
        """
        strangers = {fate for _, fate in self.found} - {*rules, *parts}
        if strangers:
            raise AssertionError(f"fates that are neither rules nor parts: {sorted(strangers)}")
        fates = {fate for _, fate in self.found}
        stages = [rule for rule in rules if rule in fates]
        # From the end, so that each state is one sum more than the next.
        state = self.of(fates=parts)
        backwards = [state]
        for rule in reversed(stages):
            state = self.of(fates=[rule]) + state
            backwards.append(state)
        return list(zip([AS_THEY_CAME, *stages], reversed(backwards), strict=True))

    def to_json(self, *, rules: Sequence[str], parts: Sequence[str]) -> dict[str, JSON]:
        """What `statistics.json` holds. `rules` in the order in which they took rows; `parts` keep some."""
        states: list[JSON] = [
            {"after": name, **statistics.to_json()} for name, statistics in self.states(rules=rules, parts=parts)
        ]
        sources: dict[str, JSON] = {
            source: {
                AS_THEY_CAME: self.of(sources=[source]).to_json(),
                "kept": self.of(sources=[source], fates=parts).to_json(),
                "fates": {fate: self.of(sources=[source], fates=[fate]).num_rows for fate in self._fates_of(source)},
            }
            for source in self.sources
        }
        return {
            "about": ABOUT,
            "rules": list(rules),
            "states": states,
            "sources": sources,
            "parts": {part: self.of(fates=[part]).to_json() for part in parts},
        }

    def _fates_of(self, source: str) -> list[str]:
        return sorted(fate for known, fate in self.found if known == source)

    def write(self, folder: Path, *, rules: Sequence[str], parts: Sequence[str]) -> dict[str, JSON]:
        """Write `statistics.json` into a folder; returns what it holds."""
        said = self.to_json(rules=rules, parts=parts)
        write_text(folder / FILE, json.dumps(said, indent=1, ensure_ascii=False) + "\n")
        return said


ABOUT: dict[str, JSON] = {
    "tokens": "estimated without a tokenizer, as the filter `tokens` does; quantiles are off by 4.5 % at most",
    "words": "lower-cased runs of letters, digits and _; scripts without spaces by character",
    "entropy_bits": "Shannon entropy of the words; words that share one of 65,536 slots count as one: a lower bound",
    "distinct": "distinct-n: the share of n-grams of words that differ; falls as a set grows",
    "vocabulary": "distinct words expected among so many words drawn from these rows",
    "languages": f"the key `{LANGUAGE}` of the rows' meta, as the filter `language` writes it",
}
"""What the numbers of `statistics.json` mean."""
