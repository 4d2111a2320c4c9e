"""Mean squared difference of hidden states."""

from typing import TYPE_CHECKING

from demiurgic.train.hidden_loss import HiddenPair, Layer
from demiurgic.train.losses import LOSSES

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register("hidden_mse", reads="hidden")
def hidden_mse(pair: HiddenPair, *, student_layer: Layer = -1, teacher_layer: Layer = -1) -> "Tensor":
    """Move the student's hidden states, linearly mapped, onto the teacher's: the mean over the width of (a - b)²."""
    del student_layer, teacher_layer  # the pair is of these layers
    return (pair.student_NE - pair.teacher_NE).square().mean(dim=-1)
