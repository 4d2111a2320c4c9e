"""Every loss as its definition says it, in plain differentiable PyTorch: what the closed forms are held to.

Shapes: N tokens, O outcomes, V vocabulary, K words.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from demiurgic.train.signals import Draws, TopK


def forward_kl(log_s: Tensor, log_p: Tensor) -> Tensor:
    return _mean(log_p, log_p - log_s)


def reverse_kl(log_s: Tensor, log_p: Tensor) -> Tensor:
    return _mean(log_s, log_s - log_p)


def jsd(log_s: Tensor, log_p: Tensor, *, beta: float = 0.5) -> Tensor:
    log_m = (beta * log_p.exp() + (1 - beta) * log_s.exp()).log()
    return beta * _mean(log_p, log_p - log_m) + (1 - beta) * _mean(log_s, log_s - log_m)


def skew_forward_kl(log_s: Tensor, log_p: Tensor, *, alpha: float = 0.1) -> Tensor:
    return _mean(log_p, log_p - (alpha * log_p.exp() + (1 - alpha) * log_s.exp()).log())


def skew_reverse_kl(log_s: Tensor, log_p: Tensor, *, alpha: float = 0.1) -> Tensor:
    return _mean(log_s, log_s - ((1 - alpha) * log_p.exp() + alpha * log_s.exp()).log())


def total_variation(log_s: Tensor, log_p: Tensor) -> Tensor:
    return (log_s.exp() - log_p.exp()).abs().sum(-1) / 2


DIVERGENCES: dict[str, Callable[..., Tensor]] = {
    function.__name__: function
    for function in (forward_kl, reverse_kl, jsd, skew_forward_kl, skew_reverse_kl, total_variation)
}


def on_labels(student_NV: Tensor, labels_N: Tensor, *, temperature: float) -> Tensor:
    return temperature**2 * cross_entropy(student_NV / temperature, labels_N, reduction="none")


def whole(name: str, student_NV: Tensor, teacher_NV: Tensor, *, temperature: float, **options: float) -> Tensor:
    log_s, log_p = ((logits_NV / temperature).log_softmax(-1) for logits_NV in (student_NV, teacher_NV))
    return temperature**2 * DIVERGENCES[name](log_s, log_p, **options)


def coarse(name: str, student_NV: Tensor, told: TopK, *, temperature: float, **options: float) -> Tensor:
    """The divergence of both after all words but the K were put together."""
    log_s_NV = (student_NV / temperature).log_softmax(-1)
    in_k_NV = torch.zeros_like(log_s_NV, dtype=torch.bool).scatter_(1, told.ids_NK, True)
    rest_N = log_s_NV.masked_fill(in_k_NV, -float("inf")).logsumexp(-1)
    log_s = torch.cat([log_s_NV.gather(1, told.ids_NK), rest_N[:, None]], dim=1)
    log_p = torch.cat([told.log_NK.double() / temperature, told.log_tail_N[temperature].double()[:, None]], dim=1)
    return temperature**2 * DIVERGENCES[name](log_s, log_p.log_softmax(-1), **options)


def on_draws(student_NV: Tensor, drawn: Draws, *, temperature: float) -> Tensor:
    log_s_NV = (student_NV / temperature).log_softmax(-1)
    found_N = -(drawn.shares_NK * log_s_NV.gather(1, drawn.ids_NK)).sum(-1) - drawn.entropy_N
    return temperature**2 * found_N


def _mean(log_prob: Tensor, values: Tensor) -> Tensor:
    return (log_prob.exp() * values).sum(-1)
