"""What a model says of the next token of each position, as probabilities of outcomes.

The outcomes are the words of a vocabulary, or some of them with all others as one.

Shapes: N tokens, O outcomes.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Distribution:
    """N distributions over O outcomes. Losses share its tensors: none of them is changed."""

    def __init__(
        self, log_NO: "Tensor", *, lend: "Callable[[], Tensor] | None" = None, prob_NO: "Tensor | None" = None
    ) -> None:
        """Give the probabilities where some may be 0; all others are made in a buffer that `lend` gives."""
        self.log_NO = log_NO
        """Log-probabilities, in nats."""
        self._lend = lend
        self._given_NO = prob_NO

    @cached_property
    def prob_NO(self) -> "Tensor":
        import torch

        if self._given_NO is not None:
            return self._given_NO
        return torch.exp(self.log_NO, out=self._lend() if self._lend else None)

    def mean(self, values_NO: "Tensor") -> "Tensor":
        """The expected value [N] of something under this distribution. An outcome that is given the probability 0
        counts nothing, also where its value is infinite.
        """
        import torch

        if self._given_NO is not None:
            values_NO = torch.where(self.prob_NO > 0, values_NO, 0.0)
        mean_N: Tensor = torch.linalg.vecdot(self.prob_NO, values_NO)
        return mean_N
