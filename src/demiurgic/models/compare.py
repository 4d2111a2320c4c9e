"""How far the predictions of two models lie apart, position by position. Knows logits, not models.

Shapes: T positions of a text, V vocabulary.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
        p_TV = torch.log_softmax(reference_TV[..., :shared].double(), dim=-1)
        q_TV = torch.log_softmax(other_TV[..., :shared].double(), dim=-1)
        kl_T = (p_TV.exp() * (p_TV - q_TV)).sum(dim=-1).clamp_min(0)
        total += float(kl_T.sum())
        largest = max(largest, float(kl_T.max()))
        agreeing += int((p_TV.argmax(dim=-1) == q_TV.argmax(dim=-1)).sum())
        positions += kl_T.numel()
    if not positions:
        raise AssertionError("nothing to compare")
    return Divergence(total / positions, largest, agreeing / positions, positions)
