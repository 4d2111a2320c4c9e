"""Matrix products of the head: which numbers go in, and fp32 sums that come out unrounded.

Shapes: N tokens, D hidden width, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from demiurgic.models.precision import native_bf16

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class ProductDtypes:
    """What the operands of the forward and of the backward products are."""

    logits: "torch.dtype"
    gradients: "torch.dtype"

    @classmethod
    def on(cls, device: "torch.device", *, bf16: bool) -> Self:
        """`bf16` allows bf16 operands, where the device computes in it and the sums come out right."""
        import torch

        fast = bf16 and native_bf16(device)
        # a CPU has no bf16 product that comes out in fp32
        return cls(
            torch.bfloat16 if fast and device.type == "cuda" else torch.float32,
            torch.bfloat16 if fast else torch.float32,
        )


def product(left: "Tensor", right: "Tensor", *, out: "Tensor | None" = None) -> "Tensor":
    """The matrix product, summed in fp32 in any case; out of bf16 operands it comes out fp32 on CUDA, bf16 on a CPU."""
    import torch

    if left.dtype == torch.bfloat16 and left.is_cuda:
        return torch.mm(left, right, out_dtype=torch.float32, out=out)
    return torch.mm(left, right, out=out)


def linear(left_ND: "Tensor", right_VD: "Tensor", *, lend: "Callable[[], Tensor]") -> "Tensor":
    """The product left · rightᵀ [N,V] in fp32. `lend` gives memory for it, and is asked only where it is needed.

    On a CPU by oneDNN: for 128 tokens of width 512 by 32,768 words it takes three quarters of the time of the library
    behind torch.mm (AMD EPYC with AVX-512), and torch offers it by this operator alone.
    """
    import torch

    if left_ND.device.type == "cpu" and right_VD.is_contiguous() and _has_onednn():
        found_NV: Tensor = torch.ops.mkldnn._linear_pointwise(left_ND, right_VD, None, "none", [], "")
        return found_NV
    return product(left_ND, right_VD.t(), out=lend())


@cache
def _has_onednn() -> bool:
    import torch

    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def differentiable_product(left_ND: "Tensor", right_VD: "Tensor", *, dtypes: ProductDtypes) -> "Tensor":
    """The product left · rightᵀ [N,V] in fp32, differentiable once with respect to both; gradients are fp32 sums."""
    found: Tensor = _function().apply(left_ND, right_VD, dtypes)
    return found


@cache
def _function() -> Any:
    """Made at first use: its base class is torch's, and this file must import without it."""
    import torch
    from torch.autograd.function import once_differentiable

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, left_ND: torch.Tensor, right_VD: torch.Tensor, dtypes: ProductDtypes) -> torch.Tensor:
            ctx.save_for_backward(left_ND, right_VD)
            ctx.dtypes = dtypes
            return product(left_ND.to(dtypes.logits), right_VD.to(dtypes.logits).t())

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, gradient_NV: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:
            left_ND, right_VD = (tensor.to(ctx.dtypes.gradients) for tensor in ctx.saved_tensors)
            gradient_NV = gradient_NV.to(ctx.dtypes.gradients)
            for_left, for_right, _ = ctx.needs_input_grad
            return (
                product(gradient_NV, right_VD) if for_left else None,
                product(gradient_NV.t(), left_ND) if for_right else None,
                None,
            )

    return Product
