"""A decoder without its head, over packed windows: positions restart and attention stops at document borders.

Shapes: B windows, T tokens of a window, D hidden width, V vocabulary.
"""

from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.models.attention import attention_mask, takes_documents_by_position

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def hidden_states(model: "PreTrainedModel", ids_BT: "Tensor", *, documents_BT: "Tensor") -> "Tensor":
    """The final hidden states [B,T,D] of each token, as if every document stood alone.

    `documents_BT` numbers the documents of each window from 1; 0 is padding. Hidden states of padding mean nothing.
    Where each window is one document (with padding after it, at most) plain causal attention is the same and no mask is
    built.
    """
    decoder: Any = model.get_decoder()
    if _one_document_each(documents_BT):
        output = decoder(input_ids=ids_BT, use_cache=False)
    elif takes_documents_by_position(model):
        _refuse_sliding_window(model.config, length=ids_BT.shape[1])
        output = decoder(input_ids=ids_BT.reshape(1, -1), use_cache=False, **one_long_row(documents_BT))
    else:
        _refuse_sliding_window(model.config, length=ids_BT.shape[1])
        output = decoder(
            input_ids=ids_BT,
            attention_mask=attention_mask(model, document_mask(documents_BT)),
            position_ids=positions(documents_BT),
            use_cache=False,
        )
    hidden_BTD: Tensor = output.last_hidden_state.reshape(*ids_BT.shape, -1)
    return hidden_BTD


def one_long_row(documents_BT: "Tensor") -> dict[str, Any]:
    """What flash attention is told of all windows of a batch laid end to end: where each document begins (cu_seqlens).

    Padding is a document of its own.
    """
    import torch

    position_BT = positions(documents_BT)
    starts = (position_BT.flatten() == 0).nonzero()[:, 0]
    borders = torch.cat([starts, starts.new_tensor([documents_BT.numel()])])
    longest = int(borders.diff().max())
    borders = borders.to(torch.int32)
    return {
        "position_ids": position_BT.reshape(1, -1),
        "cu_seq_lens_q": borders,
        "cu_seq_lens_k": borders,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def positions(documents_BT: "Tensor") -> "Tensor":
    """The position [B,T] of each token in its document, from 0."""
    import torch

    arange_T = torch.arange(documents_BT.shape[1], device=documents_BT.device)
    starts_BT = torch.where(_is_first(documents_BT), arange_T, torch.zeros_like(arange_T))
    return arange_T - starts_BT.cummax(dim=1).values


def document_mask(documents_BT: "Tensor") -> "Tensor":
    """True [B,T,T] where a query (second axis) may see a key (last): same document, not later.

    Padding sees padding, so that no query is left without a key (a softmax over nothing is not a number).
    """
    import torch

    length = documents_BT.shape[1]
    causal_TT = torch.ones(length, length, dtype=torch.bool, device=documents_BT.device).tril()
    same_BTT = documents_BT[:, :, None] == documents_BT[:, None, :]
    return same_BTT & causal_TT


def predicted(documents_BT: "Tensor") -> "Tensor":
    """True [B,T] for each token that is predicted from the one before it: not the first of a document, not padding."""
    return ~_is_first(documents_BT) & (documents_BT != 0)


def _is_first(documents_BT: "Tensor") -> "Tensor":
    import torch

    first_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    first_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    return first_BT


def _one_document_each(documents_BT: "Tensor") -> bool:
    first_B1, after_BT = documents_BT[:, :1], documents_BT[:, 1:]
    same_BT = (after_BT == first_B1) | (after_BT == 0)
    padding_last_BT = (after_BT == 0) | (documents_BT[:, :-1] != 0)
    return bool((same_BT & padding_last_BT).all())


def _refuse_sliding_window(config: Any, *, length: int) -> None:
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if window is not None and window < length:
        raise UserError(
            f"This {config.model_type} model attends to the last {window} tokens only, and packed windows of {length} "
            f"tokens need more. Tokenize with length {window} or less."
        )
