"""Generalised Jensen-Shannon divergence between teacher and student."""

from demiurgic.train.chunk import Chunk
from demiurgic.train.losses import LOSSES, Mixing, Temperature
from demiurgic.train.mixture import log_mixture_to_student, log_teacher_to_student
from demiurgic.train.token_loss import TokenLoss


@LOSSES.register("jsd", reads="distribution")
def jsd(chunk: Chunk, *, beta: Mixing = 0.5, temperature: Temperature = 1.0) -> TokenLoss:
    """Between both directions: beta KL(p || m) + (1 - beta) KL(s || m), m = beta p + (1 - beta) s, times T².

    Agarwal et al. 2024 (GKD, arXiv 2306.13649), equation 1. Gradient: s (A - sum s A) T with A = (1 - beta) (log s -
    log m). Divided by beta it tends to forward KL as beta goes to 0, by 1 - beta to reverse KL as beta goes to 1.
    """
    pair = chunk.pair(temperature)
    log_ratio_NO = log_teacher_to_student(pair)
    log_mixture_NO = log_mixture_to_student(log_ratio_NO, pair, teacher=beta)
    of_teacher_N = pair.teacher.mean(log_ratio_NO.sub_(log_mixture_NO))
    of_student_N = -pair.student.mean(log_mixture_NO)
    gradient_NO = log_mixture_NO.add_(of_student_N[:, None]).mul_(pair.student.prob_NO)
    return pair.loss(beta * of_teacher_N + (1.0 - beta) * of_student_N, (gradient_NO, beta - 1.0))
