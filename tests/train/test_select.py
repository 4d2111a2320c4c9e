"""Which tokens a loss is asked of, where it is asked of the most uncertain alone."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from demiurgic.train.select import Selected, highest_entropy


def chosen(entropy: list[float], documents: list[int], *, share: float, weights: list[float] | None = None) -> Selected:
    return highest_entropy(
        torch.tensor(entropy),
        documents_N=torch.tensor(documents),
        weights_N=torch.tensor(weights or [1.0] * len(entropy)),
        share=share,
    )


def test_of_each_document_the_most_uncertain_are_chosen_and_weigh_as_much_as_all_did():
    found = chosen([0.1, 3.0, 2.0, 0.5, 1.0, 0.9], [4, 4, 4, 4, 9, 9], share=0.5)
    assert found.index_S.tolist() == [1, 2, 4]
    assert found.weights_S.tolist() == [2.0, 2.0, 2.0]


def test_a_document_of_one_token_keeps_it():
    found = chosen([1.0, 2.0, 3.0], [0, 1, 1], share=0.1)
    assert found.index_S.tolist() == [0, 2]
    assert found.weights_S.tolist() == [1.0, 2.0]


def test_of_equally_uncertain_tokens_the_first_are_chosen():
    assert chosen([1.0] * 10, [0] * 10, share=0.3).index_S.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("share", "count", "kept"),
    [(0.1, 30, 3), (0.2, 5, 1), (0.07, 100, 7), (0.2, 6, 2), (1 / 3, 3_000, 1_000), (0.123456789, 2_000_000, 246_914)],
)
def test_the_share_is_rounded_up_exactly(share: float, count: int, kept: int):
    assert len(chosen(list(range(count)), [0] * count, share=share).index_S) == kept


def test_the_smallest_share_of_a_recipe_keeps_a_token():
    assert len(chosen(list(range(3_000)), [0] * 3_000, share=1e-6).index_S) == 1


def test_a_share_of_nothing_is_no_share():
    with pytest.raises(AssertionError, match="keeps none"):
        chosen([1.0, 2.0], [0, 0], share=1e-9)


def test_weights_keep_their_proportions():
    found = chosen([1.0, 3.0, 2.0], [0, 0, 0], share=0.6, weights=[1.0, 2.0, 4.0])
    assert found.index_S.tolist() == [1, 2]
    assert found.weights_S.tolist() == pytest.approx([2 * 7 / 6, 4 * 7 / 6])


def test_nothing_is_chosen_of_nothing():
    assert chosen([], [], share=0.5).index_S.tolist() == []


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.99])
def test_it_chooses_what_a_plain_implementation_chooses(share: float):
    random = np.random.default_rng(3)
    documents_N = random.permutation(np.repeat([3, 11, 12, 50], [1, 7, 40, 52]))
    entropy_N = random.integers(0, 12, 100).astype(np.float32)  # many ties
    weights_N = random.uniform(0.5, 2.0, 100).astype(np.float32)
    wanted = []
    for document in np.unique(documents_N):
        places = [int(n) for n in np.flatnonzero(documents_N == document)]
        best = sorted(places, key=lambda n: (-entropy_N[n], n))[: math.ceil(Fraction(str(share)) * len(places))]
        scale = weights_N[places].sum() / weights_N[best].sum()
        wanted += [(n, float(weights_N[n] * scale)) for n in best]
    found = highest_entropy(
        torch.from_numpy(entropy_N),
        documents_N=torch.from_numpy(documents_N),
        weights_N=torch.from_numpy(weights_N),
        share=share,
    )
    indices, weights = zip(*sorted(wanted), strict=True)
    assert found.index_S.tolist() == list(indices)
    assert found.weights_S.tolist() == pytest.approx(list(weights))
