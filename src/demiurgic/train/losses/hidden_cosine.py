"""Angle between hidden states."""

from typing import TYPE_CHECKING

from demiurgic.train.hidden_loss import HiddenPair, Layer
from demiurgic.train.losses import LOSSES

if TYPE_CHECKING:
    from torch import Tensor


@LOSSES.register("hidden_cosine", reads="hidden")
def hidden_cosine(pair: HiddenPair, *, student_layer: Layer = -1, teacher_layer: Layer = -1) -> "Tensor":
    """Turn the student's hidden states, linearly mapped, towards the teacher's, of any length: 1 - cos(a, b)."""
    import torch

    del student_layer, teacher_layer  # the pair is of these layers
    return 1 - torch.nn.functional.cosine_similarity(pair.student_NE, pair.teacher_NE, dim=-1)
