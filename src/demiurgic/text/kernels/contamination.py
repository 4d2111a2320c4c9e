"""Finds the questions of an index in texts: by n-grams, whole, and by 3-grams around an anchor.

The measures and their names stand in `text/contamination/`. Legend: B bytes, T words of the text at hand, Q items,
W words of all items one after the other, P places of n-grams.
"""

from typing import Any

import numpy as np

from demiurgic.text.kernels.changed_items import fuzzy_item
from demiurgic.text.kernels.compiled import compiled
from demiurgic.text.kernels.contamination_screen import MAY_EXACT, MAY_FUZZY, MAY_WHOLE, WHOLE_ANCHOR
from demiurgic.text.kernels.gram_table import find, join_words, screen
from demiurgic.text.kernels.items import symbols_of
from demiurgic.text.kernels.ngrams import ngrams

EXACT, WHOLE, FUZZY = 0, 1, 2


@compiled
def scan(
    bytes_B: Any, offsets_N1: Any, ways_N: Any, letters: Any, room: Any, none_C: Any, kept: Any, n: Any, exact: Any,
    whole: Any, fuzzy: Any, items: Any, coverage: Any, fuzzy_coverage: Any, scratch: Any, item_N: Any, how_N: Any,
    coverage_N: Any, span_N4: Any,
) -> Any:  # fmt: skip
    """Look for the items in the texts that may hold some (`may_hold`): of each text the item best found, or -1.

    `span_N4` is the matched words: first and last of the item, first and last of the text, the latter as bytes of the
    text (start and stop).
    """
    for text in range(len(ways_N)):
        item_N[text] = -1
        ways = ways_N[text]
        if ways == 0:
            continue
        scratch.mark[0] += 1
        words = scratch.words_T
        count = ngrams(bytes_B, offsets_N1[text], offsets_N1[text + 1], letters, room, False, 1, none_C, words)
        found, how = -1, EXACT
        if ways & MAY_EXACT:
            found = _exact(count, n, exact, items, coverage, scratch)
            if found >= 0:
                coverage_N[text] = scratch.covered_Q[found] / items.distinct_Q[found]
                _exact_span(count, n, exact, items, found, scratch, span_N4[text])
        if found < 0 and ways & MAY_WHOLE:
            num_bytes = offsets_N1[text + 1] - offsets_N1[text]
            found = _whole(num_bytes, count, whole, items, kept, room, scratch, span_N4[text])
            how = WHOLE
            coverage_N[text] = 1.0
        if found < 0 and ways & MAY_FUZZY and fuzzy_coverage > 0:
            found, covered = fuzzy_item(count, fuzzy, items, fuzzy_coverage, room, scratch, span_N4[text])
            how = FUZZY
            coverage_N[text] = covered
        if found >= 0:
            item_N[text] = found
            how_N[text] = how
            span_N4[text, 2] = room.starts_T[span_N4[text, 2]]
            span_N4[text, 3] = room.stops_T[span_N4[text, 3]]


@compiled
def _exact(count: Any, n: Any, table: Any, items: Any, coverage: Any, scratch: Any) -> Any:
    """The item of which the most stands in n-grams of the text, at least `coverage` of what counts; -1 for none."""
    num_grams = join_words(scratch.words_T, count, n, scratch.grams_T, scratch.other_T)
    mark = scratch.mark[0]
    num_touched = 0
    for seen in range(screen(table, scratch.grams_T, num_grams, scratch.places_T)):
        place = scratch.places_T[seen]
        index = find(table, scratch.grams_T[place])
        if index < 0:
            continue
        for at in range(table.starts_K1[index], table.starts_K1[index + 1]):
            item = table.items_P[at]
            if scratch.seen_Q[item] != mark:
                scratch.seen_Q[item] = mark
                scratch.covered_Q[item] = 0
                scratch.touched_Q[num_touched] = item
                num_touched += 1
            start = items.starts_Q1[item] + table.words_P[at]
            for word in range(start, start + n):
                if scratch.marked_W[word] != mark:
                    scratch.marked_W[word] = mark
                    scratch.covered_Q[item] += 1
    best, best_share = -1, 0.0
    for at in range(num_touched):
        item = scratch.touched_Q[at]
        share = scratch.covered_Q[item] / items.distinct_Q[item]
        if share < coverage or share < best_share or scratch.covered_Q[item] < items.least_Q[item]:
            continue
        more = scratch.covered_Q[item] - scratch.covered_Q[best] if best >= 0 else 1
        if share > best_share or more > 0 or (more == 0 and item < best):
            best, best_share = item, share
    return best


@compiled
def _exact_span(count: Any, n: Any, table: Any, items: Any, chosen: Any, scratch: Any, span_4: Any) -> Any:
    """Of the runs of matches no farther apart than the item is long, the one with the most."""
    length = items.starts_Q1[chosen + 1] - items.starts_Q1[chosen]
    most, num, before = 0, 0, np.int64(-1)
    low, high, begin = np.int64(0), np.int64(0), np.int64(0)
    for seen in range(screen(table, scratch.grams_T, count - n + 1, scratch.places_T)):
        place = scratch.places_T[seen]
        index = find(table, scratch.grams_T[place])
        if index < 0:
            continue
        for at in range(table.starts_K1[index], table.starts_K1[index + 1]):
            if table.items_P[at] != chosen:
                continue
            word = np.int64(table.words_P[at])
            if before < 0 or place - before > length:
                num, low, high, begin = 0, word, word, place
            num, before = num + 1, place
            low, high = min(low, word), max(high, word)
            if num > most:
                most = num
                span_4[0], span_4[1], span_4[2], span_4[3] = low, high + n - 1, begin, place + n - 1


@compiled
def _whole(num_bytes: Any, count: Any, table: Any, items: Any, kept: Any, room: Any, scratch: Any, span_4: Any) -> Any:
    """The longest item whose words and symbols all stand in the text in order, nothing between them; -1 for none."""
    best, best_length = -1, 0
    if len(table.keys_K) == 0:
        return best
    num_grams = join_words(scratch.words_T, count, WHOLE_ANCHOR, scratch.grams_T, scratch.other_T)
    for seen in range(screen(table, scratch.grams_T, num_grams, scratch.places_T)):
        place = scratch.places_T[seen]
        index = find(table, scratch.grams_T[place])
        if index < 0:
            continue
        for at in range(table.starts_K1[index], table.starts_K1[index + 1]):
            item = table.items_P[at]
            length = items.starts_Q1[item + 1] - items.starts_Q1[item]
            begin = place - table.words_P[at]
            weight = length * 256 + items.outer_Q3[item, 2] - items.outer_Q3[item, 0]
            if weight > best_length and _stands_whole(
                item, begin, length, count, num_bytes, items, kept, room, scratch
            ):
                best, best_length = item, weight
                span_4[0], span_4[1], span_4[2], span_4[3] = 0, length - 1, begin, begin + length - 1
    return best


@compiled
def _stands_whole(
    item: Any, begin: Any, length: Any, count: Any, num_bytes: Any, items: Any, kept: Any, room: Any, scratch: Any
) -> Any:
    if begin < 0 or begin + length > count:
        return False
    first = items.starts_Q1[item]
    for word in range(length):
        if scratch.words_T[begin + word] != items.words_W[first + word]:
            return False
    end = begin + length - 1
    if symbols_of(room.small_B, room.starts_T, room.stops_T, begin, end, kept) != items.inner_Q[item]:
        return False
    # Symbols before its first word stand right before it, read backwards, and those after the last right after.
    outer, low, high, top = items.outer_B, items.outer_Q3[item, 0], items.outer_Q3[item, 1], items.outer_Q3[item, 2]
    place, stop = np.int64(room.starts_T[begin]) - 1, np.int64(room.stops_T[begin - 1]) if begin else np.int64(0)
    while high > low and place >= stop:
        if kept[room.small_B[place]]:
            if room.small_B[place] != outer[high - 1]:
                return False
            high -= 1
        place -= 1
    if high > low:
        return False
    low = items.outer_Q3[item, 1]
    place = np.int64(room.stops_T[end])
    stop = np.int64(room.starts_T[end + 1]) if end + 1 < count else num_bytes
    while low < top and place < stop:
        if kept[room.small_B[place]]:
            if room.small_B[place] != outer[low]:
                return False
            low += 1
        place += 1
    return low == top
