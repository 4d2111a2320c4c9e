"""The output embedding, and the three matrix products that a loss needs of it, each with a true fp32 result.

Logits rounded to bf16 before the loss make gradients wrong by 4 to 30 %, the more so the better the student is; that
is why the head is not called as a layer under autocast.

Shapes: N tokens of a chunk, D hidden width, V vocabulary.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Head:
    """`weight_VD` in the type its products are taken in: float32, or bfloat16 on tensor cores with float32 sums."""

    weight_VD: "Tensor"
    on_tensor_cores: bool

    @classmethod
    def of(cls, weight_VD: "Tensor", *, bf16: bool) -> "Head":
        """`bf16` allows bf16 operands, where the device sums their products in fp32 and gives them out so."""
        import torch

        on_tensor_cores = bf16 and weight_VD.is_cuda and torch.cuda.get_device_capability(weight_VD.device) >= (8, 0)
        return cls(weight_VD.detach().to(torch.bfloat16 if on_tensor_cores else torch.float32), on_tensor_cores)

    @property
    def vocab_size(self) -> int:
        return self.weight_VD.shape[0]

    def logits(self, hidden_ND: "Tensor", *, out_NV: "Tensor") -> "Tensor":
        """Hidden states times the weight, written to `out_NV`."""
        import torch

        if self.on_tensor_cores:
            return out_NV.copy_(torch.mm(hidden_ND.bfloat16(), self.weight_VD.t(), out_dtype=torch.float32))
        return torch.mm(hidden_ND.float(), self.weight_VD.t(), out=out_NV)

    def hidden_gradient(self, gradient_NV: "Tensor") -> "Tensor":
        """The gradient [N,D] with respect to the hidden states, given that with respect to the logits."""
        import torch

        if self.on_tensor_cores:
            return torch.mm(gradient_NV.bfloat16(), self.weight_VD, out_dtype=torch.float32)
        return torch.mm(gradient_NV, self.weight_VD)

    def add_weight_gradient(self, gradient_NV: "Tensor", hidden_ND: "Tensor", *, into_VD: "Tensor") -> None:
        """Add the gradient with respect to the weight to an fp32 sum."""
        import torch

        if self.on_tensor_cores:
            into_VD.add_(torch.mm(gradient_NV.t().bfloat16(), hidden_ND.bfloat16(), out_dtype=torch.float32))
        else:
            into_VD.addmm_(gradient_NV.t(), hidden_ND.float())
