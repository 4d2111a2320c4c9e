"""What a loss answers: a value for each token, and its gradient in closed form; and how several are added up.

Shapes: N tokens of a chunk, V vocabulary, K words of a token.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Factor: TypeAlias = "float | Tensor"
"""A number, or one [N,1] per token."""


@dataclass(frozen=True)
class Sparse:
    """A gradient that is 0 but at some words of each token. A word that is named twice counts twice."""

    ids_NK: "Tensor"
    values_NK: "Tensor"
    factor: float = 1.0


@dataclass(frozen=True)
class TokenLoss:
    """The value of a loss on each token, and its gradient with respect to the student's logits, in closed form.

    The gradient is a linear combination, `sum(factor · tensor_NV)`, plus what is sparse. Losses share most tensors (the
    student's probabilities are part of nearly every gradient), so the combination of all losses is worked out once.
    """

    value_N: "Tensor"
    gradient: "tuple[tuple[Tensor, Factor], ...]" = ()
    sparse: tuple[Sparse, ...] = ()

    def at_temperature(self, temperature: float) -> "TokenLoss":
        """Multiply value and gradient by T².

        For a loss of softmax(logits / T): given with its gradient with respect to logits / T, returned with that with
        respect to the logits. The factor T² keeps the gradient's size the same at every temperature (Hinton et al.
        2015, arXiv 1503.02531, section 2.1).
        """
        if temperature == 1.0:
            return self
        return TokenLoss(
            self.value_N * temperature**2,
            tuple((tensor_NV, factor * temperature) for tensor_NV, factor in self.gradient),
            tuple(replace(part, factor=part.factor * temperature) for part in self.sparse),
        )


def weighted_gradient(losses: Iterable[tuple[TokenLoss, float]], *, out_NV: "Tensor") -> "Tensor":
    """`sum(weight · gradient)` of several losses, written to `out_NV`, in whose memory none of them lies.

    Their tensors stay as they are.
    """
    losses = list(losses)
    _combine(_terms(losses), out_NV)
    for loss, weight in losses:
        for part in loss.sparse:
            out_NV.scatter_add_(1, part.ids_NK, part.values_NK * (weight * part.factor))
    return out_NV


def _terms(losses: Iterable[tuple[TokenLoss, float]]) -> "list[tuple[Tensor, Factor]]":
    """Each tensor once, with the sum of its factors."""
    factors: dict[int, Factor] = {}
    tensors: dict[int, Tensor] = {}
    for loss, weight in losses:
        for tensor_NV, factor in loss.gradient:
            known = factors.get(id(tensor_NV))
            tensors[id(tensor_NV)] = tensor_NV
            factors[id(tensor_NV)] = factor * weight if known is None else known + factor * weight
    return [(tensors[key], factor) for key, factor in factors.items()]


def _combine(terms: "list[tuple[Tensor, Factor]]", out_NV: "Tensor") -> None:
    import torch

    numbers = [(tensor_NV, factor) for tensor_NV, factor in terms if isinstance(factor, float | int)]
    per_token = [(tensor_NV, factor) for tensor_NV, factor in terms if not isinstance(factor, float | int)]
    match numbers, per_token:
        case [], []:
            out_NV.zero_()
        case [(first_NV, 1.0), (second_NV, factor), *numbers], _:
            # the most frequent sum, student against teacher, in one pass
            torch.add(first_NV, second_NV, alpha=factor, out=out_NV)
        case [(first_NV, factor), *numbers], _:
            torch.mul(first_NV, factor, out=out_NV)
        case _, [(first_NV, factor_N1), *per_token]:
            torch.mul(first_NV, factor_N1, out=out_NV)
    for tensor_NV, factor in numbers:
        out_NV.add_(tensor_NV, alpha=factor)
    for tensor_NV, factor_N1 in per_token:
        out_NV.addcmul_(tensor_NV, factor_N1)
