"""Finds the questions of an index in texts: by n-grams, whole, and by 3-grams around an anchor.

The measures and their names stand in `text/contamination/`. Legend: B bytes, T words of the text at hand, Q items,
W words of all items one after the other, K distinct n-grams, P places where they stand, C slots of a table.
"""

from typing import NamedTuple

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.ngrams import ngrams

STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
MIX = np.uint64(0xD6E8FEB86659FD93)  # the multiplier of rrmxmx, Pelle Evensen, 2018
HALF = np.uint64(32)
LOW_6 = np.uint64(63)
ONE = np.uint64(1)
NUMBER = np.uint64(0x2545F4914F6CDD1D)
"""Stands for every word that begins with a digit where numbers count as one."""
WHOLE_ANCHOR, FUZZY_ANCHOR, FUZZY_N = 4, 5, 3
"""How many words find an item that must stand whole, and one that may be changed; and the n-grams counted then."""
EXACT, WHOLE, FUZZY = 0, 1, 2


class Table(NamedTuple):
    """Where n-grams stand: key k at places `starts_K1[k]` to `starts_K1[k + 1]` of `items_P` and `words_P`."""

    bits_C: np.ndarray
    slots_C: np.ndarray
    keys_K: np.ndarray
    starts_K1: np.ndarray
    items_P: np.ndarray
    words_P: np.ndarray


class Items(NamedTuple):
    """The items themselves. `trigrams_W` begin at each word; `counts` says which do. Symbols: `symbols_of`."""

    starts_Q1: np.ndarray
    words_W: np.ndarray
    trigrams_W: np.ndarray
    counts_W: np.ndarray
    distinct_Q: np.ndarray
    fuzzy_distinct_Q: np.ndarray
    anchors_Q: np.ndarray
    inner_Q: np.ndarray
    outer_B: np.ndarray
    outer_Q3: np.ndarray


class Scratch(NamedTuple):
    """What one thread writes down of the text at hand; marked with the text's number, so that nothing is cleared."""

    words_T: np.ndarray
    blind_T: np.ndarray
    grams_T: np.ndarray
    other_T: np.ndarray
    seen_Q: np.ndarray
    covered_Q: np.ndarray
    touched_Q: np.ndarray
    marked_W: np.ndarray
    fuzzy_seen_Q: np.ndarray
    fuzzy_near_Q: np.ndarray
    fuzzy_count_Q: np.ndarray
    window_C: np.ndarray
    window_mark_C: np.ndarray
    mark: np.ndarray


@inlined
def _finish(number):
    number ^= number >> HALF
    number *= MIX
    number ^= number >> HALF
    number *= MIX
    return number ^ (number >> HALF)


@compiled
def join_words(words_T, count, n, grams_T, other_T):
    """Write the hash of each n-gram into `grams_T`; how many. Doubles n-grams, so that 8 takes three passes, not seven."""
    found = count - n + 1
    if found <= 0:
        return 0
    top = 1
    while top * 2 <= n:
        top *= 2
    have = words_T
    spare, other = grams_T, other_T
    length, power = 1, STEP
    while top > 1:
        top //= 2
        for place in range(count - 2 * length + 1):
            spare[place] = have[place] * power + have[place + length]
        have, spare, other = spare, other, spare
        length, power = 2 * length, power * power
        if n & top:
            for place in range(count - length):
                spare[place] = have[place] * STEP + words_T[place + length]
            have, spare, other = spare, other, spare
            length, power = length + 1, power * STEP
    for place in range(found):
        grams_T[place] = _finish(have[place])
    return found


@compiled
def fill_table(keys_K, bits_C, slots_C):
    """Enter sorted distinct keys into an empty table (slots of -1); lengths are powers of two."""
    bits_mask = np.uint64(len(bits_C) * 64 - 1)
    mask = np.int64(len(slots_C) - 1)
    for index in range(len(keys_K)):
        key = keys_K[index]
        bit = key & bits_mask
        bits_C[np.int64(bit >> np.uint64(6))] |= ONE << (bit & LOW_6)
        slot = np.int64(key >> HALF) & mask
        while slots_C[slot] >= 0:
            slot = (slot + 1) & mask
        slots_C[slot] = index


@inlined
def _may_have(table, key):
    bit = key & np.uint64(len(table.bits_C) * 64 - 1)
    return (table.bits_C[np.int64(bit >> np.uint64(6))] >> (bit & LOW_6)) & ONE


@inlined
def _find(table, key):
    mask = np.int64(len(table.slots_C) - 1)
    slot = np.int64(key >> HALF) & mask
    index = np.int64(table.slots_C[slot])
    while index >= 0 and table.keys_K[index] != key:
        slot = (slot + 1) & mask
        index = np.int64(table.slots_C[slot])
    return index


@compiled
def words_of_items(bytes_B, offsets_Q1, letters, room, none_C, words_W, blind_W, starts_W, stops_W, firsts_Q1):
    """Take all items apart: their words' hashes, the same with numbers alike, and their places in bytes."""
    total = np.int64(0)
    for item in range(len(offsets_Q1) - 1):
        start = offsets_Q1[item]
        count = ngrams(bytes_B, start, offsets_Q1[item + 1], letters, room, False, 1, none_C, words_W[total:])
        blind(words_W[total:], room, count, blind_W[total:])
        for word in range(count):
            starts_W[total + word] = room.starts_T[word]
            stops_W[total + word] = room.stops_T[word]
        total += count
        firsts_Q1[item + 1] = total


@compiled
def blind(words_T, room, count, blind_T):
    """The words, with every number as one."""
    for word in range(count):
        first = room.small_B[room.starts_T[word]]
        blind_T[word] = NUMBER if (first >= 48) & (first <= 57) else words_T[word]


@compiled
def symbols_of(bytes_B, starts_T, stops_T, first, last, kept):
    """A hash of the kept symbols between words `first` and `last` and of the places they stand in."""
    hashed = np.uint64(0)
    for word in range(first + 1, last + 1):
        for byte in range(stops_T[word - 1], starts_T[word]):
            if kept[bytes_B[byte]]:
                hashed = _finish((hashed + np.uint64(word - first)) * STEP + np.uint64(bytes_B[byte]))
    return hashed


@compiled
def scan(
    bytes_B, offsets_N1, first, last, letters, room, none_C, kept, n, exact, whole, fuzzy, items, coverage, fuzzy_coverage,
    scratch, item_N, how_N, coverage_N, span_N4,
):  # fmt: skip
    """Look for the items in texts `first` to `last`: of each text the item best found, or -1.

    `span_N4` is the matched words: first and last of the item, first and last of the text, the latter as bytes of the
    text (start and stop).
    """
    for text in range(first, last):
        scratch.mark[0] += 1
        words = scratch.words_T
        count = ngrams(bytes_B, offsets_N1[text], offsets_N1[text + 1], letters, room, False, 1, none_C, words)
        item_N[text] = -1
        if count < WHOLE_ANCHOR:
            continue
        found = _exact(count, n, exact, items, coverage, scratch)
        how = EXACT
        if found >= 0:
            coverage_N[text] = scratch.covered_Q[found] / items.distinct_Q[found]
            _exact_span(count, n, exact, items, found, scratch, span_N4[text])
        else:
            num_bytes = offsets_N1[text + 1] - offsets_N1[text]
            found = _whole(num_bytes, count, whole, items, kept, room, scratch, span_N4[text])
            how = WHOLE
            coverage_N[text] = 1.0
        if found < 0 and fuzzy_coverage > 0:
            found, covered = _fuzzy(count, fuzzy, items, fuzzy_coverage, room, scratch, span_N4[text])
            how = FUZZY
            coverage_N[text] = covered
        if found >= 0:
            item_N[text] = found
            how_N[text] = how
            span_N4[text, 2] = room.starts_T[span_N4[text, 2]]
            span_N4[text, 3] = room.stops_T[span_N4[text, 3]]


@compiled
def _exact(count, n, table, items, coverage, scratch):
    """The item of which the most stands in n-grams of the text, at least `coverage` of what counts; -1 for none."""
    num_grams = join_words(scratch.words_T, count, n, scratch.grams_T, scratch.other_T)
    mark = scratch.mark[0]
    num_touched = 0
    for place in range(num_grams):
        key = scratch.grams_T[place]
        if not _may_have(table, key):
            continue
        index = _find(table, key)
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
        if share < coverage or share < best_share:
            continue
        more = scratch.covered_Q[item] - scratch.covered_Q[best] if best >= 0 else 1
        if share > best_share or more > 0 or (more == 0 and item < best):
            best, best_share = item, share
    return best


@compiled
def _exact_span(count, n, table, items, chosen, scratch, span_4):
    """Of the runs of matches no farther apart than the item is long, the one with the most."""
    length = items.starts_Q1[chosen + 1] - items.starts_Q1[chosen]
    most, num, before = 0, 0, np.int64(-1)
    low, high, begin = np.int64(0), np.int64(0), np.int64(0)
    for place in range(count - n + 1):
        key = scratch.grams_T[place]
        if not _may_have(table, key):
            continue
        index = _find(table, key)
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
def _whole(num_bytes, count, table, items, kept, room, scratch, span_4):
    """The longest item whose words and symbols all stand in the text, in order and nothing between them; -1 for none."""
    best, best_length = -1, 0
    if len(table.keys_K) == 0:
        return best
    num_grams = join_words(scratch.words_T, count, WHOLE_ANCHOR, scratch.grams_T, scratch.other_T)
    for place in range(num_grams):
        key = scratch.grams_T[place]
        if not _may_have(table, key):
            continue
        index = _find(table, key)
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
def _stands_whole(item, begin, length, count, num_bytes, items, kept, room, scratch):
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


@compiled
def _fuzzy(count, table, items, bar, room, scratch, span_4):
    """The item of whose words the most lie in 3-grams that stand near one another in the text, numbers all alike."""
    best, best_share = -1, 0.0
    if len(table.keys_K) == 0:
        return best, best_share
    blind(scratch.words_T, room, count, scratch.blind_T)
    mark = scratch.mark[0]
    num_grams = join_words(scratch.blind_T, count, FUZZY_ANCHOR, scratch.grams_T, scratch.other_T)
    joined = False
    for place in range(num_grams):
        key = scratch.grams_T[place]
        if not _may_have(table, key):
            continue
        index = _find(table, key)
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
            share = _window_share(item, begin, count, items, scratch)
            if share >= bar and (share > best_share or (share == best_share and item < best)):
                best, best_share = item, share
                _fuzzy_span(item, begin, count, items, scratch, span_4)
    return best, best_share


@compiled
def _worth_a_look(item, begin, items, scratch, mark):
    """Whether this is the second anchor of an item that sets its begin near one place; of short ones, the first."""
    near = _slack(items.starts_Q1[item + 1] - items.starts_Q1[item])
    if scratch.fuzzy_seen_Q[item] != mark or abs(scratch.fuzzy_near_Q[item] - begin) > near:
        scratch.fuzzy_seen_Q[item] = mark
        scratch.fuzzy_near_Q[item] = begin
        scratch.fuzzy_count_Q[item] = 0
    scratch.fuzzy_count_Q[item] += 1
    return scratch.fuzzy_count_Q[item] == (2 if items.anchors_Q[item] > 8 else 1)


@inlined
def _slack(length):
    """How many words a changed item may be longer or shorter, on either side."""
    return max(4, length // 4)


@compiled
def _window_share(item, begin, count, items, scratch):
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
    covered, reached = 0, np.int64(0)
    for word in range(length - FUZZY_N + 1):
        if not items.counts_W[first + word]:
            continue
        key = items.trigrams_W[first + word]
        slot = np.int64(key >> HALF) & mask
        while scratch.window_mark_C[slot] == mark and scratch.window_C[slot] != key:
            slot = (slot + 1) & mask
        if scratch.window_mark_C[slot] == mark:
            covered += word + FUZZY_N - max(word, reached)
            reached = word + FUZZY_N
    return covered / items.fuzzy_distinct_Q[item]


@compiled
def _fuzzy_span(item, begin, count, items, scratch, span_4):
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
