"""What all losses of a step say of a chunk of tokens, given the products of the head.

The products become their own gradient: a chunk is worked through in strips, so small that the many passes of several
losses over a strip stay in the cache, and the buffers of a chunk are no more than those of its products.

Shapes: N supervised tokens of a micro-batch, V vocabulary, K components.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from demiurgic.models.head import LogitRule
from demiurgic.train.chunk import Chunk, Prediction, Workspace, rows_of, tokens_per_strip
from demiurgic.train.components import Component
from demiurgic.train.signals import TeacherTokens
from demiurgic.train.token_loss import TokenLoss, weighted_gradient

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Supervised:
    """The supervised tokens of a micro-batch beside their hidden states.

    `weights_N` are already divided by what the loss is a mean over; `teacher` is None where no component asks it.
    """

    labels_N: "Tensor"
    weights_N: "Tensor"
    teacher: TeacherTokens | None


class Losses(NamedTuple):
    """The number that is differentiated, and what it is made of: total = sum(weight * raw_K)."""

    total: "Tensor"
    """Float64."""
    raw_K: "Tensor"
    """Float64, without gradient; 0 where the component's weight is 0."""


@dataclass(frozen=True)
class Walk:
    """The losses of a micro-batch. `rule` makes logits of the head's products."""

    tokens: Supervised
    components: Sequence[Component]
    rule: LogitRule
    workspace: Workspace
    values_KN: "Tensor"
    """Float64: receives the value of each component on each token; 0 where it is not active."""
    entropy_N: "Tensor | None"
    """Receives the entropy of the student's distribution at temperature 1, in nats, where it is asked for."""

    @classmethod
    def over(
        cls,
        tokens: Supervised,
        components: Sequence[Component],
        *,
        rule: LogitRule,
        workspace: Workspace,
        entropy_N: "Tensor | None",
    ) -> Self:
        import torch

        values_KN = tokens.weights_N.new_zeros((len(components), len(tokens.weights_N)), dtype=torch.float64)
        return cls(tokens, components, rule, workspace, values_KN, entropy_N)

    @property
    def raw_K(self) -> "Tensor":
        """The value of each component, once the walk is done."""
        return self.values_KN @ self.tokens.weights_N.double()

    @property
    def total(self) -> "Tensor":
        """Once the walk is done."""
        weights_K = self.values_KN.new_tensor([component.weight for component in self.components])
        return (self.raw_K * weights_K).sum()

    @property
    def is_active(self) -> bool:
        """Whether any component is asked."""
        return any(component.active for component in self.components)

    def chunk(self, products_NV: "Tensor", part: slice, *, gradient: bool) -> None:
        """Work out the tokens of `part`.

        With `gradient`, the products are overwritten by that of `sum(weight · value)` of each token with respect to
        `rule.scale · product`; the tokens' weights are not in it.
        """
        asks = any(component.active and component.needs_teacher for component in self.components)
        said = self.tokens.teacher.chunk(part, self.workspace) if asks and self.tokens.teacher is not None else None
        num_tokens, vocab_size = products_NV.shape
        length = min(tokens_per_strip(vocab_size, device=products_NV.device), num_tokens)
        strips = self.workspace.strips
        for start in range(0, num_tokens, length):
            rows = slice(start, min(start + length, num_tokens))
            strips.next_chunk(
                num_tokens=rows.stop - rows.start, vocab_size=vocab_size, capacity=length, device=products_NV.device
            )
            slope_NV = strips.lend() if self.rule.softcap is not None and gradient else None
            logits_NV = self.rule.apply_(products_NV[rows], slope_NV=slope_NV)
            tokens = slice(part.start + rows.start, part.start + rows.stop)
            student, labels_N = Prediction(logits_NV, strips), self.tokens.labels_N[tokens]
            found = self._losses(Chunk(student, labels_N, strips, rows_of(said, rows, strips)), tokens)
            if gradient:
                weighted_gradient(found, out_NV=logits_NV)
                if slope_NV is not None:
                    logits_NV.mul_(slope_NV)

    def _losses(self, chunk: Chunk, tokens: slice) -> list[tuple[TokenLoss, float]]:
        if self.entropy_N is not None:
            student = chunk.student.at(1.0)
            self.entropy_N[tokens] = student.mean(student.log_NO).neg_()
        found = []
        for k, component in enumerate(self.components):
            if component.active:
                loss: TokenLoss = component.loss(chunk)
                self.values_KN[k, tokens] = loss.value_N.double()
                found.append((loss, component.weight))
        return found
