"""The head and all losses in one differentiable step that walks the tokens chunk by chunk.

[tokens, vocabulary] is never built: each chunk gives its losses and, in closed form, their gradients, which are at
once multiplied through the head. Unsupervised positions do not reach this file.

Shapes: N supervised tokens, D hidden width, V vocabulary, K components.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from demiurgic.train.chunk import (
    BUFFER_BYTES,
    Chunk,
    Prediction,
    TokenLoss,
    Workspace,
    tokens_per_chunk,
    weighted_gradient,
)
from demiurgic.train.components import Component
from demiurgic.train.head import Head
from demiurgic.train.signals import Samples, TeacherTokens, TopK

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
    raw_K: "Tensor"
    """Float64, without gradient; 0 where the component's weight is 0."""


def head_losses(
    hidden_ND: "Tensor",
    head_VD: "Tensor",
    tokens: Supervised,
    *,
    components: Sequence[Component],
    workspace: Workspace,
    bf16: bool = False,
    buffer_bytes: int = BUFFER_BYTES,
) -> Losses:
    """The weighted losses of N hidden states, differentiable once with respect to them and the head's weight.

    `head_VD` may be tied to the input embedding: it is an input like any other, and autograd adds what it gets from
    both. `bf16` allows bf16 operands where their products come out in fp32.
    """
    walk = _Walk(tokens, tuple(components), workspace, bf16, buffer_bytes)
    return Losses(*_function().apply(hidden_ND, head_VD, walk))


@dataclass(frozen=True)
class _Walked:
    raw_K: "Tensor"
    hidden_gradient_ND: "Tensor | None"
    head_gradient_VD: "Tensor | None"


@dataclass(frozen=True)
class _Walk:
    """One pass over the chunks."""

    tokens: Supervised
    components: tuple[Component, ...]
    workspace: Workspace
    bf16: bool
    buffer_bytes: int

    def run(self, hidden_ND: "Tensor", head_VD: "Tensor", *, for_hidden: bool, for_head: bool) -> _Walked:
        import torch

        head = Head(head_VD, bf16=self.bf16)
        raw_K = torch.zeros(len(self.components), dtype=torch.float64, device=hidden_ND.device)
        hidden_gradient_ND = torch.zeros_like(hidden_ND) if for_hidden else None
        head_gradient_VD = torch.zeros_like(head_VD, dtype=torch.float32) if for_head else None
        num_tokens = hidden_ND.shape[0]
        capacity = tokens_per_chunk(head.vocab_size, buffer_bytes=self.buffer_bytes)
        for start in range(0, num_tokens, capacity):
            part = slice(start, min(start + capacity, num_tokens))
            self.workspace.next_chunk(
                num_tokens=part.stop - start, vocab_size=head.vocab_size, capacity=capacity, device=hidden_ND.device
            )
            weights_N1 = self.tokens.weights_N[part, None]
            chunk = self._chunk(hidden_ND, head, part)
            found = self._losses(chunk, weights_N1[:, 0], raw_K)
            if not found or not (for_hidden or for_head):
                continue
            gradient_NV = weighted_gradient(found, chunk)
            # a token's weight scales the row of a product, which is far shorter than that of the logits
            if hidden_gradient_ND is not None:
                hidden_gradient_ND[part] = head.hidden_gradient(gradient_NV).mul_(weights_N1)
            if head_gradient_VD is not None:
                head.add_weight_gradient(gradient_NV, hidden_ND[part] * weights_N1, into_VD=head_gradient_VD)
        return _Walked(raw_K, hidden_gradient_ND, head_gradient_VD)

    def _chunk(self, hidden_ND: "Tensor", head: Head, part: slice) -> Chunk:
        student = Prediction(head.logits(hidden_ND[part], out_NV=self.workspace.lend()), self.workspace)
        asked = any(component.weight and component.needs_teacher for component in self.components)
        teacher = self.tokens.teacher.chunk(part, self.workspace) if asked and self.tokens.teacher else None
        assert not isinstance(teacher, TopK | Samples)
        return Chunk(student, self.tokens.labels_N[part], self.workspace, teacher)

    def _losses(self, chunk: Chunk, weights_N: "Tensor", raw_K: "Tensor") -> list[tuple[TokenLoss, float]]:
        found = []
        for k, component in enumerate(self.components):
            if component.weight:
                loss: TokenLoss = component.loss(chunk)
                raw_K[k] += (loss.value_N.double() * weights_N.double()).sum()
                found.append((loss, component.weight))
        return found


@cache
def _function() -> Any:
    """The autograd function, made at first use: its base class is torch's, and this file must import without it."""
    import torch
    from torch.autograd.function import once_differentiable

    class HeadLosses(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, hidden_ND: torch.Tensor, head_VD: torch.Tensor, walk: _Walk
        ) -> tuple[torch.Tensor, torch.Tensor]:
            for_hidden, for_head, _ = ctx.needs_input_grad
            with torch.autocast(hidden_ND.device.type, enabled=False):
                walked = walk.run(hidden_ND, head_VD, for_hidden=for_hidden, for_head=for_head)
            ctx.save_for_backward(walked.hidden_gradient_ND, walked.head_gradient_VD)
            ctx.mark_non_differentiable(walked.raw_K)
            weights_K = torch.tensor([c.weight for c in walk.components], dtype=torch.float64, device=hidden_ND.device)
            return (walked.raw_K * weights_K).sum().float(), walked.raw_K

        @staticmethod
        @once_differentiable
        def backward(
            ctx: Any, upstream: torch.Tensor, _: torch.Tensor
        ) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
            hidden_gradient_ND, head_gradient_VD = ctx.saved_tensors
            hidden = None if hidden_gradient_ND is None else hidden_gradient_ND * upstream.to(hidden_gradient_ND.dtype)
            head = None if head_gradient_VD is None else head_gradient_VD * upstream
            return hidden, head, None

    return HeadLosses
