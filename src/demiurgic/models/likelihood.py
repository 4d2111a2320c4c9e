"""How surprised a model is by each token, in nats. Never holds logits of more than a chunk of tokens.

Shapes: B windows, T tokens of a window, D hidden width, V vocabulary, S tokens that are predicted, C of them at once.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from demiurgic.models.backbone import hidden_states, predicted
from demiurgic.models.head import OutputHead, output_head

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

CHUNK = 512
"""Tokens whose logits are in memory at once: 512 × 128,256 fp32 logits are 263 MB."""


def token_nats(
    model: "PreTrainedModel",
    ids_BT: "Tensor",
    *,
    documents_BT: "Tensor",
    wanted_BT: "Tensor | None" = None,
    vocab_size: int | None = None,
    chunk: int = CHUNK,
) -> "Tensor":
    """-log p(token | the tokens before it in its document), fp32 [B,T]; 0 where nothing predicts the token.

    Nothing predicts the first token of a document, and padding. With `wanted_BT` (boolean) only those tokens are asked
    for, and all others are 0: the head is a good part of a small model's work. The words are the first `vocab_size`
    (all by default): rows beyond them pad a vocabulary, and have the probability 0. Without gradients. The head's
    product is in fp32, also under autocast.
    """
    import torch

    with torch.no_grad():
        hidden_BTD = hidden_states(model, ids_BT, documents_BT=documents_BT)
        predicted_BT = predicted(documents_BT)
        if wanted_BT is not None:
            predicted_BT &= wanted_BT
        # The token at t is predicted from the hidden state at t - 1.
        hidden_SD = hidden_BTD[:, :-1][predicted_BT[:, 1:]]
        nats_BT = torch.zeros(ids_BT.shape, dtype=torch.float32, device=ids_BT.device)
        head = output_head(model).first(vocab_size)
        nats_BT[predicted_BT] = _nats(hidden_SD, head, ids_BT[predicted_BT], chunk=chunk)
        return nats_BT


def _nats(hidden_SD: "Tensor", head: OutputHead, targets_S: "Tensor", *, chunk: int) -> "Tensor":
    import torch

    nats_S = torch.empty(targets_S.shape, dtype=torch.float32, device=targets_S.device)
    for part, logits_CV in logits_in_chunks(hidden_SD, head, chunk=chunk):
        nats_S[part] = torch.nn.functional.cross_entropy(logits_CV, targets_S[part], reduction="none")
    return nats_S


def logits_in_chunks(hidden_SD: "Tensor", head: OutputHead, *, chunk: int) -> "Iterator[tuple[slice, Tensor]]":
    """The fp32 logits [C,V] of `chunk` positions at a time, and which these are; fp32 also under autocast."""
    import torch

    if head.updates:
        raise AssertionError("a LoRA on the head is not read here; merge it first")
    weight_DV = head.weight_VD.float().T
    for start in range(0, len(hidden_SD), chunk):
        part = slice(start, start + chunk)
        with torch.autocast(hidden_SD.device.type, enabled=False):
            products_CV = hidden_SD[part].float() @ weight_DV
            logits_CV = head.rule.apply_(products_CV if head.bias_V is None else products_CV.add_(head.bias_V))
        yield part, logits_CV
