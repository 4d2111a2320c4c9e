"""The output embedding, and the matrix products that a loss needs of it.

Logits rounded to bf16 before the loss make its gradients wrong by 4 to 30 %, the more so the better the student is. So
the head is not called as a layer under autocast: logits always come out of sums in fp32 unrounded. The products of the
backward pass have no such weak spot and are taken in bf16 where the rest of the model's are.

A vocabulary may be padded to a round number. Only its first `vocab_size` words take part: the others have no logits,
and so the probability 0 and the gradient 0.

Shapes: N tokens of a chunk, D hidden width, V vocabulary that takes part.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from demiurgic.models.head import OutputHead
from demiurgic.train.product import ProductDtypes, linear, product

if TYPE_CHECKING:
    from torch import Tensor


class Head:
    """A head with its products. `bf16` allows bf16 operands, on devices that compute in bf16."""

    def __init__(self, head: OutputHead, *, vocab_size: int | None = None, bf16: bool) -> None:
        """`vocab_size` is how many words take part, from the first; all by default."""
        weight_VD = head.weight_VD.detach()[:vocab_size]
        self.vocab_size = weight_VD.shape[0]
        self.rule = head.rule
        self._dtypes = ProductDtypes.on(weight_VD.device, bf16=bf16)
        self._for_logits_VD = weight_VD.to(self._dtypes.logits)
        self._bias_V = None if head.bias_V is None else head.bias_V.detach()[:vocab_size].float()

    @cached_property
    def _for_gradients_VD(self) -> "Tensor":
        """Made where a gradient is wanted: a teacher's head has none."""
        return self._for_logits_VD.to(self._dtypes.gradients)

    def logits(self, hidden_ND: "Tensor", *, lend: "Callable[[], Tensor]") -> "Tensor":
        """The logits, fp32 and unrounded. `lend` gives a buffer [N,V], and is asked only where one is needed."""
        return self.rule.apply_(self.products(hidden_ND, lend=lend))

    def products(self, hidden_ND: "Tensor", *, lend: "Callable[[], Tensor]") -> "Tensor":
        """What the logits are made of (`LogitRule`): the product with the weight, and the bias."""
        products_NV = linear(hidden_ND.to(self._dtypes.logits), self._for_logits_VD, lend=lend)
        return products_NV if self._bias_V is None else products_NV.add_(self._bias_V)

    def hidden_gradient(self, gradient_NV: "Tensor") -> "Tensor":
        """The gradient [N,D] with respect to the hidden states, in fp32, given that with respect to the products."""
        return product(gradient_NV.to(self._dtypes.gradients), self._for_gradients_VD).float()

    def add_weight_gradient(self, gradient_NV: "Tensor", hidden_ND: "Tensor", *, into_VD: "Tensor") -> None:
        """Add the gradient with respect to the weight to a sum in fp32."""
        import torch

        gradient_VN, operand_ND = gradient_NV.to(self._dtypes.gradients).t(), hidden_ND.to(self._dtypes.gradients)
        if self._dtypes.gradients == torch.float32:
            into_VD.addmm_(gradient_VN, operand_ND)
        else:
            into_VD.add_(product(gradient_VN, operand_ND))
