"""The head and all losses over differentiable products: for a head that is no plain local tensor.

A head that is spread over devices (a DTensor, or under DeepSpeed's ZeRO-3) is gathered once, and one that carries a
LoRA is more than its weight, so autograd is left to find their gradients. No recipe of ours leads here: the stage
`train` adapts no head, and under its FSDP2 the head is whole while the losses are worked out (train/parallel.py). It is
for those who wrap the objective otherwise. What is here for ZeRO-3 has not been run.

[tokens, vocabulary] is not built here either: each chunk is checkpointed, its products are made again in the backward
pass, and its losses are the same closed forms as in train/head_loss.py, which pays for the products of a chunk once and
not twice.

Shapes: N supervised tokens, D hidden width, V vocabulary, K components, R rank.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.models.head import HeadUpdate, OutputHead, output_head
from demiurgic.train.chunk import BUFFER_BYTES, Workspace, tokens_per_chunk
from demiurgic.train.components import Component
from demiurgic.train.product import ProductDtypes, differentiable_product
from demiurgic.train.walk import Losses, Supervised, Walk

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def needs_checkpointing(model: "PreTrainedModel") -> bool:
    """Whether the model's head takes `checkpointed_losses`: it is spread over devices, or carries a LoRA."""
    head = output_head(model)
    return bool(head.updates) or any(_is_sharded(tensor) or _is_zero3(tensor) for tensor in _parts(head))


def checkpointed_losses(
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
    """What `head_losses` gives, with the same values and gradients. Raises UserError for a head that is trained under
    ZeRO-3.
    """
    import torch

    walk = Walk.over(tokens, components, rule=head.rule, workspace=workspace, entropy_N=entropy_N)
    device = hidden_ND.device
    total = torch.zeros((), dtype=torch.float64, device=device)
    num_tokens = hidden_ND.shape[0] if walk.is_active or entropy_N is not None else 0
    with torch.autocast(device.type, enabled=False), _gathered(head):
        whole = _Products.of(head, vocab_size=vocab_size, dtypes=ProductDtypes.on(device, bf16=bf16))
        capacity = tokens_per_chunk(whole.vocab_size, num_tokens=num_tokens, buffer_bytes=buffer_bytes)
        for start in range(0, num_tokens, capacity):
            part = slice(start, min(start + capacity, num_tokens))
            total = total + _checkpointed(hidden_ND[part], whole, walk, part=part, capacity=capacity)
    return Losses(total + _unreached(hidden_ND, head), walk.raw_K)


def _checkpointed(hidden_ND: "Tensor", head: "_Products", walk: Walk, *, part: slice, capacity: int) -> "Tensor":
    import torch
    from torch.utils.checkpoint import checkpoint

    def total() -> "Tensor":
        walk.workspace.next_chunk(
            num_tokens=part.stop - part.start, vocab_size=head.vocab_size, capacity=capacity, device=hidden_ND.device
        )
        with torch.autocast(hidden_ND.device.type, enabled=False):
            found: Tensor = _function().apply(head.of_tokens(hidden_ND), walk, part)
        return found

    dropout = any(update.dropout for update in head.updates)
    found: Tensor = checkpoint(total, use_reentrant=False, preserve_rng_state=dropout)
    return found


@dataclass(frozen=True)
class _Products:
    """A head that is whole on this device, cut to the words that take part."""

    weight_VD: "Tensor"
    bias_V: "Tensor | None"
    updates: tuple[HeadUpdate, ...]
    dtypes: ProductDtypes

    @classmethod
    def of(cls, head: OutputHead, *, vocab_size: int | None, dtypes: ProductDtypes) -> "_Products":
        # in fp32 once for all chunks, so that their gradients are added up in fp32
        bias_V = None if head.bias_V is None else _whole(head.bias_V)[:vocab_size].float()
        updates = tuple(
            HeadUpdate(_whole(u.a_RD).float(), _whole(u.b_VR)[:vocab_size].float(), u.scaling, u.dropout)
            for u in head.updates
        )
        weight_VD = _whole(head.weight_VD)[:vocab_size]
        return cls(weight_VD.to(dtypes.logits) if _frozen(weight_VD) else weight_VD.float(), bias_V, updates, dtypes)

    @property
    def vocab_size(self) -> int:
        return self.weight_VD.shape[0]

    def of_tokens(self, hidden_ND: "Tensor") -> "Tensor":
        """The products [N,V], fp32 and unrounded, differentiable."""
        import torch

        products_NV = differentiable_product(hidden_ND, self.weight_VD, dtypes=self.dtypes)
        if self.bias_V is not None:
            products_NV = products_NV + self.bias_V
        for update in self.updates:
            read_ND = torch.dropout(hidden_ND.float(), update.dropout, train=update.dropout > 0)
            # the rank is small: B's product is the only one with the vocabulary in it
            low_NR = read_ND @ update.a_RD.t() * update.scaling
            products_NV = products_NV + differentiable_product(low_NR, update.b_VR, dtypes=self.dtypes)
        return products_NV


def _parts(head: OutputHead) -> "list[Tensor]":
    updates = [tensor for update in head.updates for tensor in (update.a_RD, update.b_VR)]
    return [head.weight_VD, *([] if head.bias_V is None else [head.bias_V]), *updates]


def _frozen(tensor: "Tensor") -> bool:
    return not tensor.requires_grad


def _is_sharded(tensor: "Tensor") -> bool:
    """A DTensor is told by what it can do, since importing its module is not free."""
    return hasattr(tensor, "full_tensor")


def _is_zero3(tensor: "Tensor") -> bool:
    return hasattr(tensor, "ds_id")


def _whole(tensor: "Tensor") -> "Tensor":
    """The tensor on this device; a sharded one is gathered, and its gradient is the mean over the processes, as that of
    all other parameters under FSDP2.
    """
    if _is_zero3(tensor):
        return tensor.detach().clone()
    if not _is_sharded(tensor):
        return tensor
    from torch.distributed.tensor import Partial

    sharded: Any = tensor
    mesh = sharded.device_mesh
    found: Tensor = sharded.full_tensor(grad_placements=[Partial() for _ in range(mesh.ndim)])
    return _with_gradient_divided(found, mesh.size())


def _with_gradient_divided(tensor: "Tensor", divisor: int) -> "Tensor":
    def divide(gradient: "Tensor") -> "Tensor":
        return gradient / divisor

    if tensor.requires_grad:
        tensor.register_hook(divide)  # type: ignore[no-untyped-call]
    return tensor


@contextmanager
def _gathered(head: OutputHead) -> Iterator[None]:
    """The parts of a head that ZeRO-3 spreads are whole inside."""
    spread: list[Any] = [tensor for tensor in _parts(head) if _is_zero3(tensor)]
    if any(tensor.requires_grad for tensor in spread):
        raise UserError(
            "DeepSpeed's ZeRO-3 spreads the head over the processes, and a head that is trained cannot be gathered "
            "from it. Freeze the head, or use ZeRO-2 or FSDP2."
        )
    gathering: AbstractContextManager[object] = nullcontext()
    if spread:
        require("deepspeed")
        from deepspeed.zero import GatheredParameters  # type: ignore[import-not-found,unused-ignore]

        gathering = GatheredParameters(spread)
    with gathering:
        yield


def _unreached(hidden_ND: "Tensor", head: OutputHead) -> "Tensor":
    """A 0 with the gradient 0 for all inputs, so that there is one where nothing was asked."""
    inputs = [hidden_ND, *(tensor for tensor in _parts(head) if not _is_sharded(tensor) and not _is_zero3(tensor))]
    return sum((tensor[:0].sum() for tensor in inputs), start=hidden_ND.new_zeros(()))


@cache
def _function() -> Any:
    """The autograd function, made at first use: its base class is torch's, and this file must import without it."""
    import torch
    from torch.autograd.function import once_differentiable

    class ChunkLosses(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, products_NV: torch.Tensor, walk: Walk, part: slice) -> torch.Tensor:
            """The weighted total of a chunk. The gradient takes the place of the products, which nobody else reads."""
            for_products = ctx.needs_input_grad[0]
            walk.chunk(products_NV.detach(), part, gradient=for_products)
            weights_N = walk.tokens.weights_N[part].double()
            weights_K = walk.values_KN.new_tensor([component.weight for component in walk.components])
            if for_products:
                ctx.row_weights_N1 = weights_N.float()[:, None] * walk.rule.scale
                ctx.save_for_backward(products_NV.detach())
            return (weights_K @ walk.values_KN[:, part]) @ weights_N

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
            (gradient_NV,) = ctx.saved_tensors
            return gradient_NV * (ctx.row_weights_N1 * upstream.float()), None, None

    return ChunkLosses
