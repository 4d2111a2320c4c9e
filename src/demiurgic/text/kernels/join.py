"""The join: each set against those that stay and were taken before it, found by the marks they share.

Marks are what sets are looked for by: their rarest n-grams, or their band keys. Sets are taken in blocks: first each
set of a block is compared with all that stayed before the block (by several threads at once), then with those of its
own block, one after the other. Nothing depends on the size of a block or the number of threads.

Legend: U sets, M marks of all sets together, S n-grams of all sets together, Q places of the table of marks, I entries
of the index (a set that stays, under one of its marks), newest first.
"""

from typing import Any, NamedTuple

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.wide import bits_set

NONE = -1
SLACK = 1e-9


Array = np.ndarray[Any, np.dtype[Any]]


class Sets(NamedTuple):
    """`members_S` of set u lie from `starts_U` on, `lengths_U` of them, rising; its marks in `marks_M` likewise.

    `sizes_U` counts the members that nobody shares, too, which are not among `members_S`. `sketches_U8` has 512 bits
    for each set, one turned over by each member; or it is empty, and then no set is asked for its sketch.
    """

    members_S: Array
    starts_U: Array
    lengths_U: Array
    sizes_U: Array
    marks_M: Array
    mark_starts_U: Array
    num_marks_U: Array
    sketches_U8: Array


class Index(NamedTuple):
    """Which sets stay, by mark. `heads_Q` is the newest entry, `NONE` where the place is empty."""

    marks_Q: Array
    heads_Q: Array
    counts_Q: Array
    sets_I: Array
    places_I: Array
    next_I: Array


class Best(NamedTuple):
    """The most similar set found for each, `NONE` so far, and how similar. `ranks_U`: when each set is taken."""

    sets_U: Array
    similarities_U: Array
    ranks_U: Array


class Spare(NamedTuple):
    """For one thread: which set last met each (by rank), and its candidates with where the first common mark stands."""

    met_U: Array
    candidates_U: Array
    here_U: Array
    there_U: Array


@compiled
def sketch(members_S: Any, starts_U: Any, lengths_U: Any, sketches_U8: Any) -> Any:
    """Fill `sketches_U8`, of zeros (Sandes et al., Bitmap filter, 2017)."""
    for place in range(len(starts_U)):
        for member in range(starts_U[place], starts_U[place] + lengths_U[place]):
            bit = members_S[member] & np.uint64(511)
            sketches_U8[place, np.int64(bit >> np.uint64(6))] ^= np.uint64(1) << (bit & np.uint64(63))


@inlined
def _differ(sets: Any, one: Any, other: Any) -> Any:
    """At least so many members only one of two sets has: a bit differs only where one of them is."""
    differ = np.int64(0)
    for word in range(8):
        differ += bits_set(sets.sketches_U8[one, word] ^ sets.sketches_U8[other, word])
    return differ


@compiled
def compare_with_index(
    order: Any, sets: Any, index: Any, since: Any, threshold: Any, in_order: Any, best: Any, spare: Any
) -> Any:
    """Compare each set of `order` with those under its marks, entries from number `since` on; how many pairs."""
    num_verified = np.int64(0)
    for place in range(len(order)):
        num_verified += _compare(order[place], sets, index, since, threshold, in_order, best, spare)
    return num_verified


@compiled
def take_block(
    order: Any,
    always: Any,
    sets: Any,
    index: Any,
    num_entries: Any,
    leaders: Any,
    threshold: Any,
    in_order: Any,
    best: Any,
    spare: Any,
) -> Any:
    """Compare each set of a block with those of it that stay, and put it into the index if it stays itself.

    The first `always` sets stay without asking. Returns how many entries there are then, how many pairs were compared,
    and how often a mark had its `leaders` already (0: without limit).
    """
    since = num_entries
    num_verified, num_capped = np.int64(0), np.int64(0)
    for place in range(len(order)):
        taken = order[place]
        if place >= always:
            num_verified += _compare(taken, sets, index, since, threshold, in_order, best, spare)
        if best.sets_U[taken] == NONE:
            before = num_entries
            num_entries = _enter(taken, sets, index, num_entries, leaders)
            num_capped += sets.num_marks_U[taken] - (num_entries - before)
    return num_entries, num_verified, num_capped


@compiled
def _enter(taken: Any, sets: Any, index: Any, num_entries: Any, leaders: Any) -> Any:
    first = sets.mark_starts_U[taken]
    for number in range(sets.num_marks_U[taken]):
        mark = sets.marks_M[first + number]
        slot = _slot_of(index, mark)
        if leaders > 0 and index.counts_Q[slot] >= leaders:
            continue
        index.marks_Q[slot] = mark
        index.counts_Q[slot] += leaders > 0
        index.sets_I[num_entries] = taken
        index.places_I[num_entries] = number
        index.next_I[num_entries] = index.heads_Q[slot]
        index.heads_Q[slot] = num_entries
        num_entries += 1
    return num_entries


@inlined
def _slot_of(index: Any, mark: Any) -> Any:
    mask = np.int64(len(index.heads_Q) - 1)
    slot = np.int64((mark * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(24)) & mask
    while index.heads_Q[slot] != NONE and index.marks_Q[slot] != mark:
        slot = (slot + 1) & mask
    return slot


@compiled
def _compare(
    taken: Any, sets: Any, index: Any, since: Any, threshold: Any, in_order: Any, best: Any, spare: Any
) -> Any:
    num_candidates = _gather(taken, sets, index, since, threshold, in_order, best, spare)
    sketched = len(sets.sketches_U8) > 0
    for number in range(num_candidates):
        other = np.int64(spare.candidates_U[number])
        least = max(threshold, best.similarities_U[taken])
        if sketched:
            total = sets.sizes_U[taken] + sets.sizes_U[other]
            if (total - _differ(sets, taken, other)) / 2 < least / (1 + least) * total - SLACK:
                continue
        found = _similarity(taken, other, np.int64(spare.here_U[number]), np.int64(spare.there_U[number]), sets, least)
        if found < threshold:
            continue
        held = best.sets_U[taken]
        better = found > best.similarities_U[taken]
        if held == NONE or better or (found == best.similarities_U[taken] and best.ranks_U[other] < best.ranks_U[held]):
            best.sets_U[taken] = other
            best.similarities_U[taken] = found
    return num_candidates


@compiled
def _gather(taken: Any, sets: Any, index: Any, since: Any, threshold: Any, in_order: Any, best: Any, spare: Any) -> Any:
    """The sets that share a mark, once each, as far as the sizes (and, for marks in order, their places) allow."""
    size = sets.sizes_U[taken]
    length = np.int64(sets.lengths_U[taken])
    smallest, largest = threshold * size - SLACK, size / threshold + SLACK
    first = sets.mark_starts_U[taken]
    stamp = best.ranks_U[taken]
    count = 0
    for number in range(sets.num_marks_U[taken]):
        entry = np.int64(index.heads_Q[_slot_of(index, sets.marks_M[first + number])])
        while entry >= since:
            other = np.int64(index.sets_I[entry])
            there = np.int64(index.places_I[entry])
            entry = np.int64(index.next_I[entry])
            if spare.met_U[other] == stamp or sets.sizes_U[other] < smallest or sets.sizes_U[other] > largest:
                continue
            spare.met_U[other] = stamp
            if in_order:
                most = min(length - number, np.int64(sets.lengths_U[other]) - there)
                if most < threshold / (1 + threshold) * (size + sets.sizes_U[other]) - SLACK:
                    continue
            spare.candidates_U[count] = other
            spare.here_U[count] = number if in_order else 0
            spare.there_U[count] = there if in_order else 0
            count += 1
    return count


@compiled
def _similarity(one: Any, other: Any, here: Any, there: Any, sets: Any, least: Any) -> Any:
    """The Jaccard index of two sets, or -1 as soon as it is known to be below `least`.

    No member before `here` of the one and `there` of the other is common.
    """
    total = sets.sizes_U[one] + sets.sizes_U[other]
    wanted = np.int64(np.ceil(least / (1 + least) * total - SLACK))
    place, end = sets.starts_U[one] + here, sets.starts_U[one] + sets.lengths_U[one]
    place_2, end_2 = sets.starts_U[other] + there, sets.starts_U[other] + sets.lengths_U[other]
    common = np.int64(0)
    missing = min(end - place, end_2 - place_2) - wanted
    if missing < 0:
        return -1.0
    # How many members of either side may still go without a partner.
    spare, spare_2 = end - place - wanted, end_2 - place_2 - wanted
    while place < end and place_2 < end_2:
        a, b = sets.members_S[place], sets.members_S[place_2]
        common += a == b
        spare -= a < b
        spare_2 -= b < a
        place += a <= b
        place_2 += b <= a
        if spare < 0 or spare_2 < 0:
            return -1.0
    return common / (total - common) if common >= wanted else -1.0
