"""The n-grams of items, which of them are templates, and the table that finds the others.

Q items, W words of all of them, P places of n-grams.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.text.contamination.taken import Taken

if TYPE_CHECKING:
    import numpy as np

    from demiurgic.text.kernels.gram_table import Table

BITS_PER_KEY = 10
"""Of the screen before a table, three set by each: one n-gram in some hundred that is not in it passes."""


@dataclass(frozen=True)
class Grams:
    """n-grams where they stand: at word `words_P[p]` of item `items_P[p]`, in order of items and words."""

    n: int
    hashes_P: "np.ndarray[Any, np.dtype[np.uint64]]"
    items_P: "np.ndarray[Any, np.dtype[np.int32]]"
    words_P: "np.ndarray[Any, np.dtype[np.int32]]"

    def where(self, chosen_P: "np.ndarray[Any, np.dtype[np.bool_]]") -> "Grams":
        return Grams(self.n, self.hashes_P[chosen_P], self.items_P[chosen_P], self.words_P[chosen_P])

    def num_items_P(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """In how many items the n-gram at each place stands."""
        import numpy as np

        order = np.argsort(self.hashes_P, kind="stable")
        hashes, items = self.hashes_P[order], self.items_P[order]
        new_hash = np.concatenate(([True], hashes[1:] != hashes[:-1]))[: len(hashes)]
        new_pair = new_hash | np.concatenate(([True], items[1:] != items[:-1]))[: len(hashes)]
        group = np.cumsum(new_hash) - 1
        counts_P = np.empty(len(order), np.int64)
        counts_P[order] = np.bincount(group, weights=new_pair)[group]
        return counts_P


def grams_of(
    taken: Taken, words_W: "np.ndarray[Any, np.dtype[np.uint64]]", *, n: int, template_items: int | None
) -> Grams:
    """The n-grams of all items, those in more than `template_items` different items left out."""
    import numpy as np

    from demiurgic.text.kernels.gram_table import join_words

    hashes_W, other_W = np.empty(len(words_W), np.uint64), np.empty(len(words_W), np.uint64)
    join_words(words_W, len(words_W), n, hashes_W, other_W)
    place_W = np.arange(len(words_W)) - taken.starts_Q1[taken.item_W]
    places = np.flatnonzero(place_W + n <= taken.lengths_Q[taken.item_W])
    found = Grams(n, hashes_W[places], taken.item_W[places], place_W[places].astype(np.int32))
    if template_items is None or not len(places):
        return found
    if taken.is_first_Q.all():
        return found.where(found.num_items_P() <= template_items)
    first = found.where(taken.is_first_Q[found.items_P])
    templates = np.unique(first.hashes_P[first.num_items_P() > template_items])
    return found.where(~np.isin(found.hashes_P, templates))


def covered_by(taken: Taken, grams: Grams) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """How many words of each item lie in these n-grams."""
    import numpy as np

    begins_W1 = np.zeros(len(taken.words_W) + grams.n + 1, np.int64)
    begins = taken.starts_Q1[grams.items_P] + grams.words_P
    begins_W1[begins] += 1
    np.subtract.at(begins_W1, begins + grams.n, 1)
    covered_W = np.cumsum(begins_W1)[: len(taken.words_W)] > 0
    return np.bincount(taken.item_W[covered_W], minlength=len(taken)).astype(np.int64)


def table_of(grams: Grams) -> "Table":
    """The table that finds the places of an n-gram."""
    import numpy as np

    from demiurgic.text.kernels.gram_table import Table, fill_table

    order = np.argsort(grams.hashes_P, kind="stable")
    keys_K, starts_K = np.unique(grams.hashes_P[order], return_index=True)
    bits_C = np.zeros(_power_of_two(BITS_PER_KEY * len(keys_K)) // 64, np.uint64)
    slots_C = np.full(_power_of_two(2 * len(keys_K)), -1, np.int32)
    fill_table(keys_K, bits_C, slots_C)
    starts_K1 = np.append(starts_K, len(order)).astype(np.int64)
    return Table(bits_C, slots_C, keys_K, starts_K1, grams.items_P[order], grams.words_P[order])


def _power_of_two(least: int) -> int:
    return max(64, 1 << (max(least, 1) - 1).bit_length())
