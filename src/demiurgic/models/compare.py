"""How far the predictions of two models lie apart, position by position. Knows logits, not models.

Shapes: T positions of a text, R of them at once, V vocabulary.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


AT_ONCE = 16
"""Positions in float64 in memory: 16 of 150,000 words are 19 MB, of which some five are needed."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """KL(reference ‖ other) in nats, and how often both find the same token likeliest, over `positions` positions."""

    mean_kl: float
    max_kl: float
    top1: float
    positions: int


def divergence(pairs: "Iterable[tuple[Tensor, Tensor]]") -> Divergence:
    """Compare (reference, other) logits [T,V] of the same texts, in float64.

    A KL of two nearly equal distributions is the small difference of large numbers: float32 sums to about 1e-7, which
    is what is measured here. Where the vocabularies are padded to different widths, the shared part is compared.
    """
    import torch

    total, largest, agreeing, positions = 0.0, 0.0, 0, 0
    for reference_TV, other_TV in pairs:
        shared = min(reference_TV.shape[-1], other_TV.shape[-1])
        for first in range(0, len(reference_TV), AT_ONCE):
            rows = slice(first, first + AT_ONCE)
            p_RV = torch.log_softmax(reference_TV[rows, :shared].double(), dim=-1)
            q_RV = torch.log_softmax(other_TV[rows, :shared].double(), dim=-1)
            kl_R = (p_RV.exp() * (p_RV - q_RV)).sum(dim=-1).clamp_min(0)
            total += float(kl_R.sum())
            largest = max(largest, float(kl_R.max()))
            agreeing += int((p_RV.argmax(dim=-1) == q_RV.argmax(dim=-1)).sum())
            positions += kl_R.numel()
    if not positions:
        raise AssertionError("nothing to compare")
    return Divergence(total / positions, largest, agreeing / positions, positions)
