"""The log-probabilities of a text by weights in this process. Knows ids and their bytes, no request and no service.

Shapes: T tokens of a text, C of them at once, D hidden width, V words of the tokenizer, K likeliest words.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from demiurgic.models.backbone import hidden_states
from demiurgic.models.head import OutputHead, output_head
from demiurgic.providers.scores import Place, Word

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

CHUNK = 256
"""Tokens whose logits are in memory at once: 256 × 128,256 fp32 logits are 131 MB."""


def score_ids(
    model: "PreTrainedModel", ids: Sequence[int], *, words: Sequence[bytes | None], top_k: int
) -> tuple[Place, ...]:
    """A place for each id; `words` are the bytes of all ids of the vocabulary, which is what probabilities sum over."""
    import torch

    places = [Place(Word(0.0, ids[0], data=words[ids[0]]), ())]
    with torch.no_grad():
        ids_1T = torch.tensor([list(ids)], device=model.device)
        hidden_TD = hidden_states(model, ids_1T, documents_BT=torch.ones_like(ids_1T))[0]
        head = _in_fp32(output_head(model).first(len(words)))
        for start in range(0, len(ids) - 1, CHUNK):
            # The token at t is predicted from the hidden state at t - 1.
            logits_CV = _logits(hidden_TD[start : min(start + CHUNK, len(ids) - 1)], head)
            own = ids[start + 1 : start + 1 + len(logits_CV)]
            places.extend(_places(logits_CV, own, words=words, top_k=top_k))
    return tuple(places)


def place_of(logits_V: "Tensor", id: int, *, words: Sequence[bytes | None], top_k: int) -> Place:
    """What the logits say at the place of an id."""
    return _places(logits_V[None], [id], words=words, top_k=top_k)[0]


def _in_fp32(head: OutputHead) -> OutputHead:
    bias_V = None if head.bias_V is None else head.bias_V.float()
    return replace(head, weight_VD=head.weight_VD.float(), bias_V=bias_V)


def _logits(hidden_CD: "Tensor", head: OutputHead) -> "Tensor":
    product_CV = hidden_CD.float() @ head.weight_VD.T
    if head.bias_V is not None:
        product_CV = product_CV + head.bias_V
    logits_CV: Tensor = head.rule.apply_(product_CV)
    return logits_CV


def _places(logits_CV: "Tensor", ids: Sequence[int], *, words: Sequence[bytes | None], top_k: int) -> list[Place]:
    import torch

    log_CV = torch.log_softmax(logits_CV.float(), dim=-1)
    own_C = log_CV.gather(1, torch.tensor(list(ids), device=log_CV.device)[:, None])[:, 0]
    top_CK = log_CV.topk(min(top_k, log_CV.shape[1]), dim=-1)
    return [
        Place(
            Word(logprob, id, data=words[id]),
            tuple(Word(log, likely, data=words[likely]) for log, likely in zip(logs, likeliest, strict=True)),
        )
        for id, logprob, logs, likeliest in zip(
            ids, own_C.tolist(), top_CK.values.tolist(), top_CK.indices.tolist(), strict=True
        )
    ]
