"""Which of the supervised tokens a loss is asked of: those on which the student is least sure.

Selecting by the student's entropy is what SE-KD does. The share is taken of each document in each window, so
that neither packing nor micro-batches nor processes change which tokens are chosen.

Shapes: N supervised tokens, S selected ones, G documents.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_DENOMINATOR = 10**6
"""Of a share as a fraction, so that its product with a number of tokens is a whole number of 64 bits."""


@dataclass(frozen=True)
class Selected:
    """S of N supervised tokens."""

    index_S: "Tensor"
    """Which of the N, in their order."""
    weights_S: "Tensor"
    """Such that each document has the sum of weights that all its supervised tokens had."""


def highest_entropy(entropy_N: "Tensor", *, documents_N: "Tensor", weights_N: "Tensor", share: float) -> Selected:
    """Of each document's n supervised tokens the ceil(share · n) of highest entropy; of equal ones the earlier.

    `documents_N` says which document a token is of: any numbers, equal within a document and nowhere else. `share` is
    taken as the nearest fraction with a denominator of at most a million.
    """
    import torch

    _, groups_N, counts_G = torch.unique(documents_N, return_inverse=True, return_counts=True)
    kept_G = _ceil(counts_G, Fraction(str(share)).limit_denominator(LARGEST_DENOMINATOR))
    if bool((kept_G < 1).any()):
        raise AssertionError(f"a share of {share} keeps none of a document's tokens")
    by_entropy_N = torch.argsort(entropy_N, descending=True, stable=True)
    order_N = by_entropy_N[torch.argsort(groups_N[by_entropy_N], stable=True)]
    begins_G = counts_G.cumsum(0) - counts_G
    rank_N = torch.empty_like(groups_N)
    rank_N[order_N] = torch.arange(len(order_N), device=order_N.device) - begins_G[groups_N[order_N]]
    index_S = (rank_N < kept_G[groups_N]).nonzero()[:, 0]
    return Selected(index_S, _as_heavy(weights_N, index_S, groups_N, num_groups=len(counts_G)))


def _ceil(counts_G: "Tensor", share: Fraction) -> "Tensor":
    """ceil(share · count), in whole numbers: 0.1 · 30 is a little more than 3 in floating point."""
    return (counts_G * share.numerator + share.denominator - 1) // share.denominator


def _as_heavy(weights_N: "Tensor", index_S: "Tensor", groups_N: "Tensor", *, num_groups: int) -> "Tensor":
    """The selected weights, scaled so that each group's sum is what it was before."""
    before_G = weights_N.new_zeros(num_groups, dtype=weights_N.dtype).index_add_(0, groups_N, weights_N)
    weights_S, groups_S = weights_N[index_S], groups_N[index_S]
    after_G = weights_N.new_zeros(num_groups).index_add_(0, groups_S, weights_S)
    return weights_S * (before_G / after_G)[groups_S]
