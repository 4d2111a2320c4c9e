"""Runs detectors over texts: a cheap screen on the Arrow column, then exact search in the few texts that pass it.

Knows no rows. What is said of a text never holds what was found in it.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demiurgic.curate.pii.detector import Detector
from demiurgic.curate.pii.detectors import DETECTORS

if TYPE_CHECKING:
    import pyarrow

MOST_PASSES = 8
"""Times a text is masked again: what a first replacement laid bare goes in the second."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing found in a text, that is not reserved."""

    kind: str
    start: int
    stop: int
    surrogate: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a text held, by kind, and the text with surrogates where they were asked for."""

    counts: Mapping[str, int]
    text: str


@dataclass(frozen=True)
class Search:
    """What is looked for: `kinds`; of these `masked` are replaced; what matches one of `allow` as a whole stays."""

    kinds: Collection[str]
    masked: Collection[str]
    allow: Sequence[re.Pattern[str]] = ()
    salt: str = ""

    @property
    def detectors(self) -> list[Detector]:
        return [detector for detector in DETECTORS if detector.kind in self.kinds]

    def run(self, texts: "pyarrow.Array") -> dict[int, Seen]:
        """By place in the array (strings, null for none) every text with something in it."""
        import pyarrow as pa

        seen = self._pass(texts)
        # What is masked is looked through again: a surrogate may stand where another kind is looked for.
        again = {place: one.text for place, one in seen.items() if self.masked}
        for _ in range(MOST_PASSES):
            places = list(again)
            more = self._pass(pa.array(list(again.values()), texts.type))
            again = {}
            for index, one in more.items():
                place = places[index]
                added = {kind: count for kind, count in one.counts.items() if kind in self.masked}
                if added:
                    seen[place] = Seen(Counter(seen[place].counts) + Counter(added), one.text)
                    again[place] = one.text
            if not again:
                break
        return seen

    def _pass(self, texts: "pyarrow.Array") -> dict[int, Seen]:
        looked = ((place, self._look(text, detectors)) for place, text, detectors in self._candidates(texts))
        return {place: seen for place, seen in looked if seen}

    def _candidates(self, texts: "pyarrow.Array") -> Iterator[tuple[int, str, list[Detector]]]:
        """The texts that pass a screen, and the detectors whose screens they pass."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        detectors = self.detectors
        screens = list(dict.fromkeys(detector.screen for detector in detectors))
        # To compile the screens takes as long as to look through a thousand rows, and most columns hold no text.
        if not screens or texts.null_count == len(texts):
            return
        passed_N = pc.match_substring_regex(texts, "|".join(f"(?:{screen})" for screen in screens)).fill_null(False)
        places = np.flatnonzero(passed_N.to_numpy(zero_copy_only=False))
        if not len(places):
            return
        chosen = texts.take(pa.array(places))
        passed = {screen: pc.match_substring_regex(chosen, screen).to_pylist() for screen in screens}
        for index, place in enumerate(places):
            yield int(place), chosen[index].as_py(), [d for d in detectors if passed[d.screen][index]]

    def _look(self, text: str, detectors: Sequence[Detector]) -> Seen | None:
        found = list(self._find(text, detectors))
        masked = [item for item in found if item.kind in self.masked]
        return (
            Seen(Counter(item.kind for item in found), _replaced(text, masked) if masked else text) if found else None
        )

    def _find(self, text: str, detectors: Sequence[Detector]) -> Iterator[Found]:
        claims = _Claims(len(text))
        for detector in detectors:
            for place in detector.find(text):
                if not claims.take(place.claim_start, place.claim_stop):
                    continue
                value = text[place.start : place.stop]
                # What is reserved keeps its claim: no other kind is to find a part of it.
                if not detector.is_reserved(value) and not any(allowed.fullmatch(value) for allowed in self.allow):
                    yield Found(detector.kind, place.start, place.stop, detector.stand_in(value, salt=self.salt))


class _Claims:
    """Stretches of a text that do not overlap."""

    def __init__(self, length: int) -> None:
        # A byte for each character: a sorted list would move all that stand behind, for each one put in.
        self._taken = bytearray(length)

    def take(self, start: int, stop: int) -> bool:
        """Claim a stretch; false where some of it is taken."""
        if self._taken.find(1, start, stop) >= 0:
            return False
        self._taken[start:stop] = b"\1" * (stop - start)
        return True


def _replaced(text: str, found: Sequence[Found]) -> str:
    pieces, end = [], 0
    for item in sorted(found, key=lambda item: item.start):
        pieces += [text[end : item.start], item.surrogate]
        end = item.stop
    return "".join(pieces) + text[end:]
