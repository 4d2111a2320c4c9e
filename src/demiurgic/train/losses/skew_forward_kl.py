"""Skew forward Kullback-Leibler divergence from the teacher."""

from demiurgic.train.chunk import Chunk
from demiurgic.train.losses import LOSSES, Mixing, Temperature
from demiurgic.train.mixture import log_mixture_to_student, log_teacher_to_student
from demiurgic.train.token_loss import TokenLoss


@LOSSES.register("skew_forward_kl", reads="distribution")
def skew_forward_kl(chunk: Chunk, *, alpha: Mixing = 0.1, temperature: Temperature = 1.0) -> TokenLoss:
    """Forward KL with a bounded gradient: KL(p || m), m = alpha p + (1 - alpha) s, times T².

    Ko et al. 2024 (DistiLLM, arXiv 2402.03898), equation 4. Gradient: (1 - alpha) (s sum(q) - q) T with q = p s / m.
    """
    pair = chunk.pair(temperature)
    log_ratio_NO = log_teacher_to_student(pair)
    log_mixture_NO = log_mixture_to_student(log_ratio_NO, pair, teacher=alpha)
    value_N = pair.teacher.mean(log_ratio_NO.sub_(log_mixture_NO))
    q_NO = log_mixture_NO.neg_().exp_().mul_(pair.teacher.prob_NO)
    sum_N1 = q_NO.sum(dim=1, keepdim=True)
    return pair.loss(value_N, (q_NO, alpha - 1.0), (pair.student.prob_NO, sum_N1 * (1.0 - alpha)))
