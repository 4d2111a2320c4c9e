"""Total variation distance between teacher and student."""

from demiurgic.train.chunk import Chunk
from demiurgic.train.losses import LOSSES, Temperature
from demiurgic.train.token_loss import TokenLoss


@LOSSES.register("total_variation", reads="distribution")
def total_variation(chunk: Chunk, *, temperature: Temperature = 1.0) -> TokenLoss:
    """The largest difference in the probability of any set of words: sum |s - p| / 2, times T².

    Wen et al. 2023 (f-distill, arXiv 2307.15190), section 3.1. Gradient: s (g - sum s g) T with g = sign(s - p) / 2.
    """
    import torch

    pair = chunk.pair(temperature)
    student = pair.student
    distance_NO = torch.sub(student.prob_NO, pair.teacher.prob_NO, out=pair.scratch())
    value_N = 0.5 * torch.linalg.vector_norm(distance_NO, ord=1, dim=1)
    sign_NO = distance_NO.sign_()
    gradient_NO = sign_NO.sub_(student.mean(sign_NO)[:, None]).mul_(student.prob_NO)
    return pair.loss(value_N, (gradient_NO, 0.5))
