"""How sure a model is of its most likely next token, and whether it is right. Never holds logits of more than a chunk.

Shapes: B windows, T tokens of a window, D hidden width, V vocabulary, S tokens that are predicted.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demiurgic.models.backbone import hidden_states, predicted
from demiurgic.models.head import OutputHead, output_head
from demiurgic.models.likelihood import CHUNK, logits_in_chunks

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Confidence:
    """Of each token that was asked for; 0 and False everywhere else."""

    probability_BT: "Tensor"
    """fp32: the highest probability of the distribution that the token was predicted with."""
    is_right_BT: "Tensor"
    """Whether the token is the most likely one."""
    asked_BT: "Tensor"


def token_confidence(
    model: "PreTrainedModel",
    ids_BT: "Tensor",
    *,
    documents_BT: "Tensor",
    wanted_BT: "Tensor",
    vocab_size: int | None = None,
    chunk: int = CHUNK,
) -> Confidence:
    """Ask for the tokens in `wanted_BT` (boolean) that something predicts: not the first of a document, not padding.

    The words are the first `vocab_size` (all by default): rows beyond them pad a vocabulary, and have the probability
    0. Without gradients. The head's product is in fp32, also under autocast.
    """
    import torch

    with torch.no_grad():
        hidden_BTD = hidden_states(model, ids_BT, documents_BT=documents_BT)
        asked_BT = predicted(documents_BT) & wanted_BT
        hidden_SD = hidden_BTD[:, :-1][asked_BT[:, 1:]]  # the token at t is predicted from the hidden state at t - 1
        probability_BT = torch.zeros(ids_BT.shape, dtype=torch.float32, device=ids_BT.device)
        is_right_BT = torch.zeros_like(asked_BT)
        probability_S, likeliest_S = _likeliest(hidden_SD, output_head(model).first(vocab_size), chunk=chunk)
        probability_BT[asked_BT] = probability_S
        is_right_BT[asked_BT] = likeliest_S == ids_BT[asked_BT]
        return Confidence(probability_BT, is_right_BT, asked_BT)


def _likeliest(hidden_SD: "Tensor", head: OutputHead, *, chunk: int) -> "tuple[Tensor, Tensor]":
    """The most likely token of each position, its probability first."""
    import torch

    probability_S = torch.empty(len(hidden_SD), dtype=torch.float32, device=hidden_SD.device)
    likeliest_S = torch.empty(len(hidden_SD), dtype=torch.long, device=hidden_SD.device)
    for part, logits_CV in logits_in_chunks(hidden_SD, head, chunk=chunk):
        highest_C, likeliest_S[part] = logits_CV.max(dim=1)
        probability_S[part] = (highest_C - logits_CV.logsumexp(dim=1)).exp()
    return probability_S, likeliest_S
