"""Signatures: the keys of bands, beside the same sums in numpy."""

import numpy as np
import pytest

from demiurgic.text.kernels.minhash import mark_shared, sign
from demiurgic.text.kernels.wide import LANES


@pytest.mark.parametrize("num_permutations", [64, 128, 100])
def test_documents_with_the_same_smallest_products_have_the_same_keys(num_permutations: int):
    made = np.random.default_rng(0)
    times_K = np.ones(-(-num_permutations // 64) * 64, np.uint32)
    times_K[:num_permutations] = made.integers(0, 2**31, num_permutations, dtype=np.uint32) * 2 + 1
    sizes = np.array([1, 2, 0, LANES, 1_000])
    hashes_S = made.integers(0, 2**64, sizes.sum(), dtype=np.uint64)
    starts_D1 = np.concatenate([[0], np.cumsum(sizes)])
    keys_BN, sizes_N = np.zeros((4, 5), np.uint64), np.zeros(5, np.int32)
    sign(hashes_S, starts_D1, 0, num_permutations, times_K, keys_BN, sizes_N)
    assert sizes_N.tolist() == sizes.tolist()
    for document in (0, 1, 3, 4):
        # One n-gram in each permutation is the smallest: those alone give the same keys, and no others do.
        own = hashes_S[starts_D1[document] : starts_D1[document + 1]]
        products_SK = (own >> np.uint64(32)).astype(np.uint32)[:, None] * times_K[:num_permutations]
        smallest = np.unique(products_SK.argmin(axis=0))
        for chosen, same in ((own[smallest], True), (np.delete(own, smallest[0]), False)):
            again_BN, bounds = np.zeros((4, 1), np.uint64), np.array([0, len(chosen)])
            sign(chosen, bounds, 0, num_permutations, times_K, again_BN, np.zeros(1, np.int32))
            assert (again_BN[:, 0] == keys_BN[:, document]).all() == same


def test_keys_that_another_has_are_marked_and_those_of_empty_documents_are_not():
    made = np.random.default_rng(1)
    keys_N = made.integers(0, 3_000, 2_000).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    sizes_N = made.integers(0, 3, 2_000).astype(np.int32)
    shared_N = np.full(2_000, 7, np.uint8)
    mark_shared(keys_N, sizes_N, np.full(16, 9, np.uint8), np.full(4_096, 5, np.int32), shared_N)
    counts = dict(zip(*np.unique(keys_N[sizes_N > 0], return_counts=True), strict=True))
    assert shared_N.tolist() == [int(size > 0 and counts[key] > 1) for key, size in zip(keys_N, sizes_N, strict=True)]
