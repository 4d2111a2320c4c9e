"""Counting the n-grams that documents share with a few others. Legend: G n-grams of the few, S the few, D documents."""

from typing import Any

import numpy as np

from demiurgic.text.kernels.compiled import compiled, inlined
from demiurgic.text.kernels.sets import sort_distinct


@compiled
def index_places(grams_G: Any, places: Any) -> Any:
    """Fill a table of a power of two, all -1, with the first place of each n-gram in `grams_G`, which rises."""
    for place in range(len(grams_G)):
        if place == 0 or grams_G[place] != grams_G[place - 1]:
            places[_slot_of(grams_G[place], grams_G, places)] = place


@inlined
def _slot_of(gram: Any, grams_G: Any, places: Any) -> Any:
    mask = np.int64(len(places) - 1)
    slot = np.int64(gram & np.uint64(0xFFFFFFFFFFFF)) & mask
    while places[slot] >= 0 and grams_G[places[slot]] != gram:
        slot = (slot + 1) & mask
    return slot


@compiled
def count_shared(
    hashes_S: Any,
    starts_D1: Any,
    first: Any,
    hits_S: Any,
    spare_S: Any,
    ends: Any,
    grams_G: Any,
    owners_G: Any,
    places: Any,
    sizes_S: Any,
    threshold: Any,
) -> Any:
    """Pairs of one of the few and a document that are similar: who, the document's number, how similar.

    Only n-grams that one of the few has are sorted; all of a document's, to tell how many it has, only where it shares
    so many with one of the few that the two may be similar.
    """
    who, whom, similarity = [np.int64(0)], [np.int64(0)], [0.0]
    shared_S = np.zeros(len(sizes_S), np.int64)
    met = np.zeros(len(sizes_S), np.int64)
    for document in range(len(starts_D1) - 1):
        start, stop = starts_D1[document], starts_D1[document + 1]
        num_hits = _hits(hashes_S, start, stop, grams_G, places, hits_S)
        num_hits = sort_distinct(hits_S, num_hits, spare_S, ends)
        num_met = _count_owners(hits_S, num_hits, grams_G, owners_G, places, shared_S, met)
        size = np.int64(0)
        for number in range(num_met):
            owner = met[number]
            shared = shared_S[owner]
            shared_S[owner] = 0
            if shared < threshold * sizes_S[owner] - 1e-9:
                continue
            if size == 0:
                size = sort_distinct(hashes_S[start:stop], stop - start, spare_S, ends)
            found = shared / (size + sizes_S[owner] - shared)
            if found >= threshold:
                who.append(owner)
                whom.append(first + document)
                similarity.append(found)
    return np.array(who)[1:], np.array(whom)[1:], np.array(similarity)[1:]


@compiled
def _hits(hashes_S: Any, start: Any, stop: Any, grams_G: Any, places: Any, hits_S: Any) -> Any:
    """Write the n-grams that one of the few has, repeats and all; how many they are."""
    count = np.int64(0)
    for member in range(start, stop):
        if places[_slot_of(hashes_S[member], grams_G, places)] >= 0:
            hits_S[count] = hashes_S[member]
            count += 1
    return count


@compiled
def _count_owners(hits_S: Any, num_hits: Any, grams_G: Any, owners_G: Any, places: Any, shared_S: Any, met: Any) -> Any:
    """Add up for each of the few how many of some n-grams it has; how many have any, and (in `met`) which."""
    num_met = np.int64(0)
    for hit in range(num_hits):
        place = places[_slot_of(hits_S[hit], grams_G, places)]
        while place < len(grams_G) and grams_G[place] == hits_S[hit]:
            owner = owners_G[place]
            if shared_S[owner] == 0:
                met[num_met] = owner
                num_met += 1
            shared_S[owner] += 1
            place += 1
    return num_met


@compiled
def distinct_of_all(hashes_S: Any, starts_D1: Any, spare_S: Any, ends: Any, counts_D: Any) -> Any:
    """Move the n-grams of each document together, once each and rising; how many there are in all."""
    total = 0
    for document in range(len(counts_D)):
        start, stop = starts_D1[document], starts_D1[document + 1]
        count = sort_distinct(hashes_S[start:stop], stop - start, spare_S, ends)
        for place in range(count):
            hashes_S[total + place] = hashes_S[start + place]
        counts_D[document] = count
        total += count
    return total
