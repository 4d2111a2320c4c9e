"""Student and teacher over the same outcomes, on which a divergence is written once.

Of a teacher whose every probability is known the outcomes are the words of the vocabulary. Of one that tells its
likeliest words they are those and one more, all other words together: the divergence of two distributions after words
were put together, which is never more than that of the whole (data processing inequality) and 0 where they are equal.

Shapes: N tokens of a chunk, V vocabulary, K words, O outcomes (V, or K + 1).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.train.distribution import Distribution
from demiurgic.train.signals import TopK
from demiurgic.train.token_loss import Factor, Sparse, TokenLoss

if TYPE_CHECKING:
    from torch import Tensor


class Pair(ABC):
    """What student and teacher say of N tokens at one temperature."""

    student: Distribution
    teacher: Distribution

    @abstractmethod
    def scratch(self) -> "Tensor":
        """A buffer [N,O] with undefined content, the loss's own until the end of the chunk."""

    @abstractmethod
    def loss(self, value_N: "Tensor", *gradient: "tuple[Tensor, Factor]") -> TokenLoss:
        """A divergence with its gradient, `sum(factor · tensor_NO)`, with respect to u where the student is softmax(u)
        over the outcomes. Both are multiplied by T² (`TokenLoss.at_temperature`).
        """


class WholePair(Pair):
    """Over the whole vocabulary: u are the logits / T."""

    def __init__(
        self, student: Distribution, teacher: Distribution, *, temperature: float, lend: "Callable[[], Tensor]"
    ) -> None:
        self.student, self.teacher = student, teacher
        self._temperature, self._lend = temperature, lend

    def scratch(self) -> "Tensor":
        return self._lend()

    def loss(self, value_N: "Tensor", *gradient: "tuple[Tensor, Factor]") -> TokenLoss:
        return TokenLoss(value_N, gradient).at_temperature(self._temperature)


class CoarsePair(Pair):
    """Over the K words that the teacher tells, and the rest.

    An outcome that neither side knows (a word that fills up a row; a rest of no words) is there with the probability 0
    and the log-probability 0, so that it adds 0 to whatever is summed.
    """

    def __init__(self, student: Distribution, told: TopK, *, temperature: float, lend: "Callable[[], Tensor]") -> None:
        """`student` is over the vocabulary. Raises UserError for a temperature that was not kept."""
        import torch

        self._temperature = temperature
        self._ids_NK = told.ids_NK.long()
        self._filled_NK = told.log_NK == -torch.inf
        self._rest_NV, log_rest_N = self._rest_of(student.log_NO, out_NV=lend())
        known_NK = student.log_NO.gather(1, self._ids_NK).masked_fill_(self._filled_NK, -torch.inf)
        student_NO = torch.cat([known_NK, log_rest_N[:, None]], dim=1)
        teacher_NO = _at_temperature(told, temperature)
        absent_NO = student_NO == -torch.inf
        self.student, self.teacher = (_without(log_NO, absent_NO) for log_NO in (student_NO, teacher_NO))

    def scratch(self) -> "Tensor":
        import torch

        return torch.empty_like(self.student.log_NO)

    def loss(self, value_N: "Tensor", *gradient: "tuple[Tensor, Factor]") -> TokenLoss:
        """Each of the K words has its own gradient; each of the rest its share, s / (mass of the rest), of theirs."""
        import torch

        gradient_NO = torch.zeros_like(self.student.log_NO)
        for tensor_NO, factor in gradient:
            gradient_NO += tensor_NO * factor
        words_NK = gradient_NO[:, :-1].masked_fill(self._filled_NK, 0.0)
        rest = (self._rest_NV, gradient_NO[:, -1:] / self._rest_mass_N1)
        return TokenLoss(value_N, (rest,), (Sparse(self._ids_NK, words_NK),)).at_temperature(self._temperature)

    def _rest_of(self, log_NV: "Tensor", *, out_NV: "Tensor") -> "tuple[Tensor, Tensor]":
        """exp(log s - the largest of the rest) with 0 at the K words, and the log of the mass of the rest [N].

        In log space: 1 - (mass of the K) is nothing but rounding where the K hold nearly all.
        """
        import torch

        # added, since a word that fills up a row may also be one of its words
        out = torch.where(self._filled_NK, 0.0, -torch.inf)
        rest_NV = out_NV.copy_(log_NV).scatter_add_(1, self._ids_NK, out)
        largest_N1 = rest_NV.amax(dim=1, keepdim=True)
        rest_NV.sub_(largest_N1.masked_fill(largest_N1 == -torch.inf, 0.0)).exp_()
        mass_N1 = rest_NV.sum(dim=1, keepdim=True)
        self._rest_mass_N1 = mass_N1.masked_fill(mass_N1 == 0, 1.0)
        return rest_NV, (largest_N1 + self._rest_mass_N1.log())[:, 0]


def _at_temperature(told: TopK, temperature: float) -> "Tensor":
    """Log-probabilities [N,K+1] at a temperature."""
    import torch

    if temperature not in told.log_tail_N:
        raise UserError(wrong_temperature("likeliest words", temperature, list(told.log_tail_N)))
    tail_N1 = told.log_tail_N[temperature][:, None]
    return torch.cat([told.log_NK / temperature, tail_N1], dim=1).log_softmax(dim=1)


def _without(log_NO: "Tensor", absent_NO: "Tensor") -> Distribution:
    prob_NO = log_NO.exp().masked_fill_(absent_NO, 0.0)
    return Distribution(log_NO.masked_fill(absent_NO, 0.0), prob_NO=prob_NO)


def wrong_temperature(what: str, temperature: float, known: "list[float]") -> str:
    """What to say of a temperature for which the teacher's word was not kept."""
    had = ", ".join(f"{value:g}" for value in sorted(known)) or "none"
    return (
        f"A loss asks the teacher's {what} at temperature {temperature:g}, and they were kept at: {had}. Set one of "
        "those on the loss, or make the cache with this temperature."
    )
