"""Forward Kullback-Leibler divergence from the teacher."""

from demiurgic.train.chunk import Chunk
from demiurgic.train.losses import LOSSES, Temperature
from demiurgic.train.mixture import log_teacher_to_student
from demiurgic.train.signals import Samples
from demiurgic.train.token_loss import Sparse, TokenLoss


@LOSSES.register("forward_kl", reads="distribution", from_samples=True)
def forward_kl(chunk: Chunk, *, temperature: Temperature = 1.0) -> TokenLoss:
    """Cover all that the teacher finds likely: KL(p || s) = sum p (log p - log s), times T². Gradient: (s - p) T."""
    if isinstance(chunk.said, Samples):
        return _on_draws(chunk, temperature)
    pair = chunk.pair(temperature)
    value_N = pair.teacher.mean(log_teacher_to_student(pair))
    return pair.loss(value_N, (pair.student.prob_NO, 1.0), (pair.teacher.prob_NO, -1.0))


def _on_draws(chunk: Chunk, temperature: float) -> TokenLoss:
    """With the shares w of the words drawn from p: -sum w log s - H(p). Gradient: (s - w) T.

    The expected value of both is that of the whole divergence (Anshumann et al. 2025, arXiv 2503.16870, section 4).
    """
    import torch

    student, drawn = chunk.student.at(temperature), chunk.draws(temperature)
    ids_NK = drawn.ids_NK.long()
    value_N = -torch.linalg.vecdot(drawn.shares_NK, student.log_NO.gather(1, ids_NK)) - drawn.entropy_N
    words = Sparse(ids_NK, drawn.shares_NK, -1.0)
    return TokenLoss(value_N, ((student.prob_NO, 1.0),), (words,)).at_temperature(temperature)
