"""Finds questions whose numbers or names were changed: by 3-grams of words, numbers all alike, around an anchor.

Legend: T words of the text at hand, Q items, W words of all items one after the other.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.gram_table import find, join_words, screen
from demiurgic.text.kernels.items import blind
from demiurgic.text.kernels.ngrams import HALF

FUZZY_ANCHOR, FUZZY_N = 5, 3
"""How many words find an item that may be changed; and the n-grams counted then."""
LEAST_ANCHORS = 2
"""So many anchors of an item must stand near one another before its 3-grams are counted."""


@inlined
def _slack(length: Any) -> Any:
    """How many words a changed item may be longer or shorter, on either side."""
    return max(4, length // 4)


@inlined
def _worth_a_look(item: Any, begin: Any, items: Any, scratch: Any, mark: Any) -> Any:
    """Whether this is the second anchor of an item that sets its begin near one place."""
    near = _slack(items.starts_Q1[item + 1] - items.starts_Q1[item])
    if scratch.fuzzy_seen_Q[item] != mark or abs(scratch.fuzzy_near_Q[item] - begin) > near:
        scratch.fuzzy_seen_Q[item] = mark
        scratch.fuzzy_near_Q[item] = begin
        scratch.fuzzy_count_Q[item] = 0
    scratch.fuzzy_count_Q[item] += 1
    return scratch.fuzzy_count_Q[item] == LEAST_ANCHORS


@compiled
def fuzzy_item(count: Any, table: Any, items: Any, bar: Any, room: Any, scratch: Any, span_4: Any) -> Any:
    """The item of whose words the most lie in 3-grams that stand near one another in the text, numbers all alike."""
    best, best_share = -1, 0.0
    if len(table.keys_K) == 0:
        return best, best_share
    blind(scratch.words_T, room, count, scratch.blind_T)
    mark = scratch.mark[0]
    num_grams = join_words(scratch.blind_T, count, FUZZY_ANCHOR, scratch.grams_T, scratch.other_T)
    joined = False
    for seen in range(screen(table, scratch.grams_T, num_grams, scratch.places_T)):
        place = scratch.places_T[seen]
        index = find(table, scratch.grams_T[place])
        if index < 0:
            continue
        if not joined:
            # The anchors' hashes are still read: 3-grams go where the words were, which no one reads any more.
            join_words(scratch.blind_T, count, FUZZY_N, scratch.words_T, scratch.other_T)
            joined = True
        for at in range(table.starts_K1[index], table.starts_K1[index + 1]):
            item = table.items_P[at]
            begin = place - np.int64(table.words_P[at])
            if not _worth_a_look(item, begin, items, scratch, mark):
                continue
            covered = _covered_near(item, begin, count, items, scratch)
            share = covered / items.fuzzy_distinct_Q[item]
            if share < bar or covered < items.least_Q[item]:
                continue
            if share > best_share or (share == best_share and item < best):
                best, best_share = item, share
                _fuzzy_span(item, begin, count, items, scratch, span_4)
    return best, best_share


@compiled
def _covered_near(item: Any, begin: Any, count: Any, items: Any, scratch: Any) -> Any:
    first = items.starts_Q1[item]
    length = items.starts_Q1[item + 1] - first
    low = max(begin - _slack(length), 0)
    high = min(begin + length + _slack(length), count) - FUZZY_N + 1
    scratch.mark[1] += 1
    mark = scratch.mark[1]
    mask = np.int64(len(scratch.window_C) - 1)
    for place in range(low, high):
        slot = np.int64(scratch.words_T[place] >> HALF) & mask
        while scratch.window_mark_C[slot] == mark and scratch.window_C[slot] != scratch.words_T[place]:
            slot = (slot + 1) & mask
        scratch.window_mark_C[slot] = mark
        scratch.window_C[slot] = scratch.words_T[place]
    covered, reached = 0, 0
    for word in range(length - FUZZY_N + 1):
        if not items.counts_W[first + word]:
            continue
        key = items.trigrams_W[first + word]
        slot = np.int64(key >> HALF) & mask
        while scratch.window_mark_C[slot] == mark and scratch.window_C[slot] != key:
            slot = (slot + 1) & mask
        if scratch.window_mark_C[slot] == mark:
            covered += min(word + FUZZY_N - reached, FUZZY_N)
            reached = word + FUZZY_N
    return covered


@compiled
def _fuzzy_span(item: Any, begin: Any, count: Any, items: Any, scratch: Any, span_4: Any) -> Any:
    first = items.starts_Q1[item]
    length = items.starts_Q1[item + 1] - first
    low = max(begin - _slack(length), 0)
    high = min(begin + length + _slack(length), count) - FUZZY_N + 1
    span_4[0], span_4[1], span_4[2], span_4[3] = length, 0, count, 0
    for place in range(low, high):
        for word in range(length - FUZZY_N + 1):
            if items.counts_W[first + word] and items.trigrams_W[first + word] == scratch.words_T[place]:
                span_4[0] = min(span_4[0], word)
                span_4[1] = max(span_4[1], word + FUZZY_N - 1)
                span_4[2] = min(span_4[2], place)
                span_4[3] = max(span_4[3], place + FUZZY_N - 1)
