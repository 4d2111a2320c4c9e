"""Teachers whose word on a few tokens is given, in every form that a signal may have."""

from collections.abc import Iterable

import torch
from torch import Tensor

from demiurgic.train.chunk import Workspace, rows_of
from demiurgic.train.signals import Draws, Said, Samples, TopK


class ToldTeacher:
    """Says what it was given."""

    def __init__(self, said: Said) -> None:
        self.said = said

    def chunk(self, tokens: slice, workspace: Workspace) -> Said:
        said = rows_of(self.said, tokens, workspace)
        assert said is not None
        return said


def top_k(logits_NV: Tensor, *, k: int, temperatures: Iterable[float] = (1.0, 2.0, 4.0), fill: int = 0) -> TopK:
    """The k likeliest words of each token, then `fill` that fill the row up."""
    log_NV = logits_NV.double().log_softmax(-1)
    log_NK, ids_NK = log_NV.topk(k)
    others_NV = log_NV.scatter(1, ids_NK, -torch.inf)
    tails = {t: (others_NV / t).logsumexp(-1).float() for t in temperatures}
    num_tokens = len(logits_NV)
    # any id may fill a row up, also one that is in it
    ids_NK = torch.cat([ids_NK, ids_NK.new_zeros(num_tokens, fill)], dim=1)
    log_NK = torch.cat([log_NK, log_NK.new_full((num_tokens, fill), -torch.inf)], dim=1)
    return TopK(ids_NK, log_NK.float(), tails)


def drawn(logits_NV: Tensor, *, num_draws: int, seed: int, temperature: float = 1.0) -> Samples:
    """Words drawn with replacement from softmax(logits / temperature)."""
    prob_NV = (logits_NV.double() / temperature).softmax(-1)
    ids_ND = torch.multinomial(prob_NV, num_draws, replacement=True, generator=torch.Generator().manual_seed(seed))
    counts_NV = torch.zeros_like(prob_NV).scatter_add_(1, ids_ND, torch.ones_like(ids_ND, dtype=torch.float64))
    shares_NK, ids_NK = (counts_NV / num_draws).topk(min(num_draws, logits_NV.shape[1]))
    entropy_N = -(prob_NV * prob_NV.log()).sum(-1)
    return Samples({temperature: Draws(ids_NK, shares_NK.float(), entropy_N.float())})
