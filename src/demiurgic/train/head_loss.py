"""The head and all losses in one differentiable step that walks the tokens chunk by chunk.

[tokens, vocabulary] is never built: each chunk gives its losses and, in closed form, their gradients, which are at
once multiplied through the head. Unsupervised positions do not reach this file, and neither does a head that is spread
over devices or carries a LoRA (train/checkpointed_loss.py).

Shapes: N supervised tokens, D hidden width, V vocabulary, K components.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from demiurgic.models.head import OutputHead
from demiurgic.train.chunk import BUFFER_BYTES, Workspace, tokens_per_chunk
from demiurgic.train.components import Component
from demiurgic.train.head import Head
from demiurgic.train.walk import Losses, Supervised, Walk

if TYPE_CHECKING:
    from torch import Tensor


def head_losses(
    hidden_ND: "Tensor",
    head: OutputHead,
    tokens: Supervised,
    *,
    components: Sequence[Component],
    workspace: Workspace,
    vocab_size: int | None = None,
    bf16: bool = False,
    buffer_bytes: int = BUFFER_BYTES,
    entropy_N: "Tensor | None" = None,
) -> Losses:
    """The weighted losses of N hidden states, differentiable once with respect to them and the head.

    The head's weight may be tied to the input embedding: it is an input like any other, and autograd adds what it gets
    from both. Only its first `vocab_size` words take part (all by default); the others get the gradient 0. `bf16`
    allows bf16 operands where their products come out in fp32. `entropy_N` (fp32) receives the entropy of the student's
    distribution on each token at temperature 1, in nats. Raises UserError where the teacher's word was not kept at a
    temperature that a loss asks for.
    """
    if head.updates:
        raise AssertionError("a head with a LoRA takes train/checkpointed_loss.py")
    walk = Walk.over(tokens, components, rule=head.rule, workspace=workspace, entropy_N=entropy_N)
    settings = _Settings(head, vocab_size, bf16, buffer_bytes)
    return Losses(*_function().apply(hidden_ND, head.weight_VD, head.bias_V, walk, settings))


@dataclass(frozen=True)
class _Settings:
    head: OutputHead
    vocab_size: int | None
    bf16: bool
    buffer_bytes: int


@dataclass(frozen=True)
class _Gradients:
    """Sums over the chunks, in fp32; None where nothing is wanted."""

    hidden_ND: "Tensor | None"
    weight_VD: "Tensor | None"
    bias_V: "Tensor | None"

    @classmethod
    def wanted(cls, which: Sequence[bool], *inputs: "Tensor | None") -> "_Gradients":
        """Zeros for those of hidden states, weight and bias that want a gradient."""
        import torch

        hidden_ND, weight_VD, bias_V = (
            tensor if asked and tensor is not None else None for asked, tensor in zip(which, inputs, strict=True)
        )
        return cls(
            None if hidden_ND is None else torch.zeros_like(hidden_ND),
            None if weight_VD is None else torch.zeros_like(weight_VD, dtype=torch.float32),
            None if bias_V is None else torch.zeros_like(bias_V, dtype=torch.float32),
        )

    def add(self, gradient_NV: "Tensor", hidden_ND: "Tensor", weights_N: "Tensor", *, part: slice, head: Head) -> None:
        """Add what a chunk gives. A token's weight scales the row of a product, which is far shorter than a row of
        logits.
        """
        if self.hidden_ND is not None:
            self.hidden_ND[part] = head.hidden_gradient(gradient_NV).mul_(weights_N[:, None])
        if self.weight_VD is not None:
            weighted_ND = hidden_ND * weights_N[:, None]
            head.add_weight_gradient(gradient_NV, weighted_ND, into_VD=self.weight_VD[: head.vocab_size])
        if self.bias_V is not None:
            self.bias_V[: head.vocab_size].addmv_(gradient_NV.t(), weights_N)

    @property
    def any(self) -> bool:
        return any(tensor is not None for tensor in (self.hidden_ND, self.weight_VD, self.bias_V))


def _work_out(walk: Walk, settings: _Settings, hidden_ND: "Tensor", gradients: _Gradients) -> None:
    """One pass over the chunks."""
    head = Head(settings.head, vocab_size=settings.vocab_size, bf16=settings.bf16)
    num_tokens = hidden_ND.shape[0]
    capacity = tokens_per_chunk(head.vocab_size, num_tokens=num_tokens, buffer_bytes=settings.buffer_bytes)
    for start in range(0, num_tokens, capacity):
        part = slice(start, min(start + capacity, num_tokens))
        walk.workspace.next_chunk(
            num_tokens=part.stop - start, vocab_size=head.vocab_size, capacity=capacity, device=hidden_ND.device
        )
        products_NV = head.products(hidden_ND[part], lend=walk.workspace.lend)
        walk.chunk(products_NV, part, gradient=gradients.any)
        if gradients.any:
            weights_N = walk.tokens.weights_N[part].float() * head.rule.scale
            gradients.add(products_NV, hidden_ND[part], weights_N, part=part, head=head)
        del products_NV  # before the next chunk makes its own


@cache
def _function() -> Any:
    """The autograd function, made at first use: its base class is torch's, and this file must import without it."""
    import torch
    from torch.autograd.function import once_differentiable

    class HeadLosses(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any,
            hidden_ND: torch.Tensor,
            weight_VD: torch.Tensor,
            bias_V: torch.Tensor | None,
            walk: Walk,
            settings: _Settings,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            which = [needed and walk.is_active for needed in ctx.needs_input_grad[:3]]
            found = _Gradients.wanted(which, hidden_ND, weight_VD, bias_V)
            if walk.is_active or walk.entropy_N is not None:
                with torch.autocast(hidden_ND.device.type, enabled=False):
                    _work_out(walk, settings, hidden_ND, found)
            # not saved tensors: the backward pass multiplies them in place, a copy of the head's being as large as it
            ctx.gradients = [found.hidden_ND, found.weight_VD, found.bias_V]
            raw_K = walk.raw_K
            ctx.mark_non_differentiable(raw_K)
            return walk.total, raw_K

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, upstream: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            if ctx.gradients is None:
                raise AssertionError("the losses were differentiated already; work them out again")
            found, ctx.gradients = ctx.gradients, None
            return *(None if tensor is None else tensor.mul_(upstream) for tensor in found), None, None

    return HeadLosses
