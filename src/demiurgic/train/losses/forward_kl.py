"""Forward Kullback-Leibler divergence from the teacher."""

from demiurgic.train.chunk import Chunk, TokenLoss
from demiurgic.train.losses import LOSSES, Temperature


@LOSSES.register("forward_kl", reads="distribution")
def forward_kl(chunk: Chunk, *, temperature: Temperature = 1.0) -> TokenLoss:
    """Cover all that the teacher finds likely: KL(p || s) = sum p (log p - log s), times T². Gradient: (s - p) T."""
    import torch

    student, teacher = chunk.student.at(temperature), chunk.teacher.at(temperature)
    log_ratio_NV = torch.sub(teacher.log_NV, student.log_NV, out=chunk.scratch())
    value_N = torch.linalg.vecdot(teacher.prob_NV, log_ratio_NV)
    return TokenLoss(value_N, ((student.prob_NV, 1.0), (teacher.prob_NV, -1.0))).at_temperature(temperature)
