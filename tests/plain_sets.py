"""n-grams and near-duplicates as one would write them down: Python's own sets, one pair at a time."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from demiurgic.text.letters import ALONE, IN_WORD, KIND_SHIFT, letters
from demiurgic.text.ngrams import Shingling

Gram = tuple[str, ...]


def small(character: str) -> str:
    lower = character.lower()
    return lower if len(lower) == 1 and len(lower.encode()) == len(character.encode()) else character


def words(text: str) -> list[str]:
    table, found, inside = letters(), [], False
    for character in text:
        code = ord(character)
        kind = int(table[code]) >> KIND_SHIFT if code < len(table) else ALONE if code < 0x40000 else 0
        if kind == IN_WORD and inside:
            found[-1] += small(character)
        elif kind in (IN_WORD, ALONE):
            found.append(small(character))
        inside = kind == IN_WORD
    return found


def characters(text: str) -> list[str]:
    return [small(each) for each in re.sub(r"\s+", " ", text).strip()]


def ngrams(text: str, shingling: Shingling) -> frozenset[Gram]:
    parts = words(text) if shingling.unit == "word" else characters(text)
    if len(parts) < shingling.n:
        return frozenset([tuple(parts)] if parts else [])
    return frozenset(tuple(parts[at : at + shingling.n]) for at in range(len(parts) - shingling.n + 1))


def jaccard(one: frozenset[Gram], other: frozenset[Gram]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0


def sets(texts: Sequence[str], shingling: Shingling) -> list[frozenset[Gram]]:
    found = [ngrams(text, shingling) for text in texts]
    if shingling.common_above is None:
        return found
    times = Counter(gram for each in found for gram in each)
    common = {gram for gram, count in times.items() if count > shingling.common_above}
    return [each - common or each for each in found]


@dataclass(frozen=True)
class Outcome:
    witness: list[int]
    similarity: list[float]


def near_duplicates(
    texts: Sequence[str],
    *,
    shingling: Shingling,
    threshold: float,
    order: Sequence[int] | None = None,
    known: Sequence[str] = (),
) -> Outcome:
    """Best first; the most similar that stays is the witness, of equals the better. Known ones come first and stay.

    Documents with equal sets are as one: the best of them is compared, and the others share what becomes of it.
    """
    members = sets([*texts, *known], shingling)
    staying: list[int] = []
    outcome: dict[frozenset[Gram], tuple[int, float]] = {}
    for document in range(len(texts), len(members)):
        if members[document] not in outcome:
            outcome[members[document]] = document, 1.0
            staying.append(document)
    witness, similarity = [-1] * len(texts), [0.0] * len(texts)
    for document in range(len(texts)) if order is None else order:
        if not members[document]:
            continue
        if members[document] in outcome:
            witness[document], similarity[document] = outcome[members[document]]
            continue
        found = [(jaccard(members[document], members[other]), -place) for place, other in enumerate(staying)]
        best = max(found, default=(0.0, 0))
        if best[0] >= threshold:
            witness[document], similarity[document] = staying[-best[1]], best[0]
            outcome[members[document]] = staying[-best[1]], best[0]
        else:
            staying.append(document)
            outcome[members[document]] = document, 1.0
    return Outcome(witness, similarity)
