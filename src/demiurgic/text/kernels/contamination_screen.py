"""Which texts may hold a question at all: many texts at a time, in loops without branches. Most hold none.

Legend: B bytes, N texts, T words of several texts one after the other.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.changed_items import FUZZY_ANCHOR, LEAST_ANCHORS
from demiurgic.text.kernels.compiled import compiled
from demiurgic.text.kernels.gram_table import find, join_words, screen
from demiurgic.text.kernels.items import blind
from demiurgic.text.kernels.ngrams import ngrams

WHOLE_ANCHOR = 4
"""How many words find an item that must stand whole."""
MAY_EXACT, MAY_WHOLE, MAY_FUZZY = 1, 2, 4
CHUNK = 8192
"""Words at a time: what is written of them stays in the second cache, beside the screens."""


@compiled
def may_hold(
    bytes_B: Any, offsets_N1: Any, letters: Any, room: Any, none_C: Any, n: Any, exact: Any, whole: Any, fuzzy: Any,
    scratch: Any, ways_N: Any,
) -> Any:  # fmt: skip
    """Set in `ways_N` (uint8, all 0) the ways that a text may hold an item: it has n-grams that items have."""
    text = 0
    while text < len(ways_N):
        total = np.int64(0)
        most = min(len(scratch.words_T) - 66, CHUNK)
        while text < len(ways_N) and (total == 0 or total + offsets_N1[text + 1] - offsets_N1[text] <= most):
            here = scratch.words_T[total:]
            count = ngrams(bytes_B, offsets_N1[text], offsets_N1[text + 1], letters, room, False, 1, none_C, here)
            blind(here, room, count, scratch.blind_T[total:])
            scratch.text_T[total : total + count] = text
            total += count
            text += 1
        _mark(exact, n, scratch.words_T, total, 1, MAY_EXACT, scratch, ways_N)
        if len(whole.keys_K):
            _mark(whole, WHOLE_ANCHOR, scratch.words_T, total, 1, MAY_WHOLE, scratch, ways_N)
        if len(fuzzy.keys_K):
            _mark(fuzzy, FUZZY_ANCHOR, scratch.blind_T, total, LEAST_ANCHORS, MAY_FUZZY, scratch, ways_N)


@compiled
def _mark(table: Any, n: Any, words_T: Any, total: Any, least: Any, way: Any, scratch: Any, ways_N: Any) -> Any:
    """Set `way` for texts with at least `least` n-grams of the table."""
    num_grams = join_words(words_T, total, n, scratch.grams_T, scratch.other_T)
    before, num = -1, 0
    for seen in range(screen(table, scratch.grams_T, num_grams, scratch.places_T)):
        place = scratch.places_T[seen]
        text = scratch.text_T[place]
        if text != scratch.text_T[place + n - 1] or ways_N[text] & way:
            continue
        if find(table, scratch.grams_T[place]) < 0:
            continue
        num = num + 1 if text == before else 1
        before = text
        if num >= least:
            ways_N[text] |= np.uint8(way)
