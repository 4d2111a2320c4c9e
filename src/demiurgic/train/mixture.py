"""The mixture of teacher and student that the Jensen-Shannon and the skew divergences compare them with.

Shapes: N tokens, O outcomes.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from demiurgic.train.pair import Pair


def log_teacher_to_student(pair: "Pair") -> "Tensor":
    """The logarithm of p / s [N,O], in a buffer of its own."""
    import torch

    return torch.sub(pair.teacher.log_NO, pair.student.log_NO, out=pair.scratch())


def log_mixture_to_student(log_ratio_NO: "Tensor", pair: "Pair", *, teacher: float) -> "Tensor":
    """The logarithm of m / s [N,O] of the mixture m = teacher · p + (1 - teacher) · s, with 0 < teacher < 1.

    Given d = log(p / s) it is max(d, 0) + log1p(c · expm1(-|d|)), where c is the share of the smaller of the two:
    nothing overflows, and where p = s it is exactly 0, so that no divergence falls below 0 by a logarithm's rounding.
    """
    import torch

    shares = log_ratio_NO.new_tensor([1.0 - teacher, teacher])
    share_NO = torch.where(log_ratio_NO > 0, shares[0], shares[1], out=pair.scratch())
    found_NO = torch.abs(log_ratio_NO, out=pair.scratch()).neg_().expm1_().mul_(share_NO).log1p_()
    return found_NO.add_(torch.clamp(log_ratio_NO, min=0.0, out=share_NO))
