"""Skew reverse Kullback-Leibler divergence from the teacher."""

from demiurgic.train.chunk import Chunk
from demiurgic.train.losses import LOSSES, Mixing, Temperature
from demiurgic.train.mixture import log_mixture_to_student, log_teacher_to_student
from demiurgic.train.token_loss import TokenLoss


@LOSSES.register("skew_reverse_kl", reads="distribution")
def skew_reverse_kl(chunk: Chunk, *, alpha: Mixing = 0.1, temperature: Temperature = 1.0) -> TokenLoss:
    """Reverse KL that stays finite: KL(s || m), m = (1 - alpha) p + alpha s, times T².

    Ko et al. 2024 (DistiLLM, arXiv 2402.03898), equation 4. Gradient: s (A - sum s A) T with A = log s - log m -
    alpha s / m.
    """
    import torch

    pair = chunk.pair(temperature)
    student = pair.student
    log_mixture_NO = log_mixture_to_student(log_teacher_to_student(pair), pair, teacher=1.0 - alpha)
    value_N = -student.mean(log_mixture_NO)
    # -A but for a constant, which drops out: s / m - 1 keeps the digits where m is close to s
    negative_NO = torch.neg(log_mixture_NO, out=pair.scratch()).expm1_().mul_(alpha).add_(log_mixture_NO)
    gradient_NO = negative_NO.sub_(student.mean(negative_NO)[:, None]).mul_(student.prob_NO)
    return pair.loss(value_N, (gradient_NO, -1.0))
