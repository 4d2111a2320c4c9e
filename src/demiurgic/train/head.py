"""The output embedding, and the three matrix products that a loss needs of it.

Logits rounded to bf16 before the loss make its gradients wrong by 4 to 30 %, the more so the better the student is. So
the head is not called as a layer under autocast: logits always come out of sums in fp32 unrounded. The products of the
backward pass have no such weak spot and are taken in bf16 where the rest of the model's are.

Shapes: N tokens of a chunk, D hidden width, V vocabulary.
"""

from typing import TYPE_CHECKING

from demiurgic.models.precision import native_bf16

if TYPE_CHECKING:
    from torch import Tensor


class Head:
    """`weight_VD` [V,D] with its products. `bf16` allows bf16 operands, on devices that compute in bf16."""

    def __init__(self, weight_VD: "Tensor", *, bf16: bool) -> None:
        import torch

        self.vocab_size = weight_VD.shape[0]
        fast = bf16 and native_bf16(weight_VD.device)
        self._gradient_dtype = torch.bfloat16 if fast else torch.float32
        # a CPU has no bf16 product that comes out in fp32
        self._logits_dtype = torch.bfloat16 if fast and weight_VD.is_cuda else torch.float32
        self._for_logits_VD = weight_VD.detach().to(self._logits_dtype)
        self._for_gradients_VD = self._for_logits_VD.to(self._gradient_dtype)

    def logits(self, hidden_ND: "Tensor", *, out_NV: "Tensor") -> "Tensor":
        """The logits, fp32 and unrounded, written to `out_NV`."""
        import torch

        operand_ND = hidden_ND.to(self._logits_dtype)
        if self._logits_dtype == torch.float32:
            return torch.mm(operand_ND, self._for_logits_VD.t(), out=out_NV)
        return out_NV.copy_(_product(operand_ND, self._for_logits_VD.t()))

    def hidden_gradient(self, gradient_NV: "Tensor") -> "Tensor":
        """The gradient [N,D] with respect to the hidden states, given that with respect to the logits."""
        return _product(gradient_NV.to(self._gradient_dtype), self._for_gradients_VD)

    def add_weight_gradient(self, gradient_NV: "Tensor", hidden_ND: "Tensor", *, into_VD: "Tensor") -> None:
        """Add the gradient with respect to the weight to a sum in fp32."""
        import torch

        gradient_VN, operand_ND = gradient_NV.to(self._gradient_dtype).t(), hidden_ND.to(self._gradient_dtype)
        if self._gradient_dtype == torch.float32:
            into_VD.addmm_(gradient_VN, operand_ND)
        else:
            into_VD.add_(_product(gradient_VN, operand_ND))


def _product(left: "Tensor", right: "Tensor") -> "Tensor":
    """The matrix product, summed in fp32 in any case; out of bf16 operands it comes out fp32 on CUDA, bf16 on a CPU."""
    import torch

    if left.dtype == torch.bfloat16 and left.is_cuda:
        return torch.mm(left, right, out_dtype=torch.float32)
    return torch.mm(left, right)
