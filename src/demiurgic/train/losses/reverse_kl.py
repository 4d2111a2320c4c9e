"""Reverse Kullback-Leibler divergence from the teacher."""

from demiurgic.train.chunk import Chunk
from demiurgic.train.losses import LOSSES, Temperature
from demiurgic.train.mixture import log_teacher_to_student
from demiurgic.train.token_loss import TokenLoss


@LOSSES.register("reverse_kl", reads="distribution")
def reverse_kl(chunk: Chunk, *, temperature: Temperature = 1.0) -> TokenLoss:
    """Keep to what the teacher finds likely: KL(s || p) = sum s (log s - log p), times T². Gradient: s (log s - log p -
    KL) T.

    In log space, so that it is finite at low temperatures (MiniLLM, Gu et al. 2024, arXiv 2306.08543).
    """
    pair = chunk.pair(temperature)
    log_ratio_NO = log_teacher_to_student(pair)
    mean_N = pair.student.mean(log_ratio_NO)
    gradient_NO = log_ratio_NO.sub_(mean_N[:, None]).mul_(pair.student.prob_NO)
    return pair.loss(-mean_N, (gradient_NO, -1.0))
