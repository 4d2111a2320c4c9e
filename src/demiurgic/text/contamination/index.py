"""What is looked for in texts, as the kernels read it: tables of n-grams and the items' words.

Knows nothing of texts. Legend: Q items, W words of all items one after the other, P places of n-grams.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.text.contamination.item import Item
from demiurgic.text.contamination.tables import Grams, covered_by, grams_of, table_of
from demiurgic.text.contamination.taken import Taken, take_apart

if TYPE_CHECKING:
    import numpy as np

    from demiurgic.text.kernels.gram_table import Table
    from demiurgic.text.kernels.items import Items

LEAST_WORDS = 4
"""Items of fewer stand in ordinary texts by chance."""
LEAST_FOUND = 13
"""So many words of an item must be found, or all where it has fewer: half of a short question (`write a function to
convert a given string to`) is half of many others. 13 is what GPT-3 (Brown et al. 2020, appendix C) called an overlap.
"""


@dataclass(frozen=True)
class Index:
    """Made by `build_index`. `items` are those looked for, each once, however many files hold it."""

    items: tuple[Item, ...]
    n: int
    template_items: int
    exact: "Table"
    whole: "Table"
    fuzzy: "Table"
    arrays: "Items"
    spans_W2: "np.ndarray[Any, np.dtype[np.int32]]"
    """First byte of each word in its item's text, and the byte after its last."""
    texts: tuple[str, ...]
    """What of each item is looked for."""
    num_repeated: int
    """Items left out because an earlier one says the same."""
    num_too_short: int
    """Items left out because they have fewer than `LEAST_WORDS` words."""

    def text_of(self, item: int, first: int, last: int) -> str:
        """The words `first` to `last` of an item, as they stand in it."""
        start = self.arrays.starts_Q1[item]
        span = slice(self.spans_W2[start + first, 0], self.spans_W2[start + last, 1])
        return self.texts[item].encode()[span].decode()


def build_index(items: Iterable[Item], *, n: int = 8, template_items: int = 10) -> Index:
    """The index of some items, for n-grams of `n` words; raises UserError where no item is left to look for.

    Of items that say the same only the first counts, so that two files of one benchmark make no template of it.
    """
    import numpy as np

    from demiurgic.text.kernels.changed_items import FUZZY_ANCHOR, FUZZY_N, LEAST_ANCHORS

    if n < LEAST_WORDS:
        raise UserError(f"n is {n}; n-grams of fewer than {LEAST_WORDS} words stand in every text. Give 8, or 13.")
    listed = list(items)
    texts = _with_choices(listed, n=n, template_items=template_items)
    taken = take_apart(texts)
    long_Q = taken.lengths_Q >= LEAST_WORDS
    chosen_Q = taken.is_first_Q & long_Q
    if not chosen_Q.any():
        raise UserError(
            f"There is nothing to look for: of {len(listed)} items none has {LEAST_WORDS} words. Check which field of "
            "the files is the question."
        )
    kept = [item for item, chosen in zip(listed, chosen_Q, strict=True) if chosen]
    kept_texts = tuple(text for text, chosen in zip(texts, chosen_Q, strict=True) if chosen)
    taken = taken.where(chosen_Q)
    exact = grams_of(taken, taken.words_W, n=n, template_items=template_items)
    distinct_Q = covered_by(taken, exact)
    trigrams = grams_of(taken, taken.blind_W, n=FUZZY_N, template_items=template_items)
    anchors = grams_of(taken, taken.blind_W, n=FUZZY_ANCHOR, template_items=template_items)
    anchors = anchors.where((covered_by(taken, trigrams) >= _least_Q(taken))[anchors.items_P])
    num_anchors_Q = np.bincount(anchors.items_P, minlength=len(taken))
    anchors = anchors.where(num_anchors_Q[anchors.items_P] >= LEAST_ANCHORS)
    return Index(
        items=tuple(kept),
        n=n,
        template_items=template_items,
        exact=table_of(exact),
        whole=table_of(_whole_anchors(taken, distinct_Q < _least_Q(taken))),
        fuzzy=table_of(anchors),
        arrays=_arrays(taken, distinct_Q, trigrams),
        spans_W2=taken.spans_W2,
        texts=kept_texts,
        num_repeated=int((long_Q & ~chosen_Q).sum()),
        num_too_short=int((~long_Q).sum()),
    )


def _with_choices(items: list[Item], *, n: int, template_items: int) -> list[str]:
    """The questions; those that no n-gram could find, with the answers to choose from."""
    import numpy as np

    questions = [item.question for item in items]
    if not any(item.choices for item in items):
        return questions
    taken = take_apart(questions)
    found_Q = covered_by(taken, grams_of(taken, taken.words_W, n=n, template_items=template_items))
    lacking_Q = found_Q < np.minimum(LEAST_FOUND, n)
    return [
        f"{item.question}\n{item.choices}" if lacking and item.choices else item.question
        for item, lacking in zip(items, lacking_Q, strict=True)
    ]


def _whole_anchors(taken: Taken, chosen_Q: "np.ndarray[Any, np.dtype[np.bool_]]") -> Grams:
    """Of each chosen item the n-gram that the fewest chosen items share, the first of several."""
    import numpy as np

    from demiurgic.text.kernels.contamination_screen import WHOLE_ANCHOR

    all_of = grams_of(taken, taken.words_W, n=WHOLE_ANCHOR, template_items=None)
    mine = all_of.where(chosen_Q[all_of.items_P])
    shared_P = mine.num_items_P()
    order = np.lexsort((mine.words_P, shared_P, mine.items_P))
    _, first = np.unique(mine.items_P[order], return_index=True)
    is_first_P = np.zeros(len(order), np.bool_)
    is_first_P[order[first]] = True
    return mine.where(is_first_P)


def _least_Q(taken: Taken) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """How many words of each item must be found."""
    import numpy as np

    least_Q: np.ndarray[Any, np.dtype[np.int64]] = np.minimum(taken.lengths_Q, LEAST_FOUND)
    return least_Q


def _arrays(taken: Taken, distinct_Q: "np.ndarray[Any, np.dtype[np.int64]]", trigrams: Grams) -> "Items":
    import numpy as np

    from demiurgic.text.kernels.items import Items

    places_P = taken.starts_Q1[trigrams.items_P] + trigrams.words_P
    trigrams_W = np.zeros(len(taken.words_W), np.uint64)
    trigrams_W[places_P] = trigrams.hashes_P
    counts_W = np.zeros(len(taken.words_W), np.bool_)
    counts_W[places_P] = True
    ends = np.cumsum([len(side) for sides in taken.outer_Q for side in sides], dtype=np.int64)
    before = np.concatenate(([0], ends))[::2][: len(taken.outer_Q)]
    return Items(
        taken.starts_Q1,
        taken.words_W,
        trigrams_W,
        counts_W,
        np.maximum(distinct_Q, 1),
        np.maximum(covered_by(taken, trigrams), 1),
        _least_Q(taken),
        taken.inner_Q,
        np.frombuffer(b"".join(side for sides in taken.outer_Q for side in sides) or b"\0", np.uint8),
        np.ascontiguousarray(np.stack((before, ends[::2], ends[1::2]), axis=1)),
    )
