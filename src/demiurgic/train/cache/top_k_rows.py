"""The likeliest words, and the rest as one, as rows of a cache.

Shapes: N tokens, K words, V vocabulary.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.train.cache.keep import KeepTopK
from demiurgic.train.cache.layout import ID_BYTES, Rows
from demiurgic.train.signals import TopK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def likeliest(log_NV: "Tensor", keep: KeepTopK) -> TopK:
    """The K likeliest words of log-probabilities at temperature 1, likeliest first, with the exact rest.

    The rest at temperature T is logsumexp over all other words of log p / T; -inf where K is the whole vocabulary.
    """
    log_NK, ids_NK = log_NV.topk(keep.k, dim=-1)
    others_NV = log_NV.scatter(1, ids_NK, -math.inf)
    tails = {T: (others_NV if T == 1.0 else others_NV / T).logsumexp(dim=-1) for T in keep.temperatures}
    return TopK(ids_NK, log_NK, tails)


def fitted(said: TopK, keep: KeepTopK) -> TopK:
    """What a served teacher said, cut to K words; those that are cut off go to the rest.

    Raises UserError when it said fewer words than are to be kept.
    """
    found = said.ids_NK.shape[1]
    if found < keep.k:
        raise UserError(
            f"keep.k is {keep.k}, and the teacher gives {found} words for each token. Set keep: {{use: top_k, k: "
            f"{found}}}, or ask it for more."
        )
    if found == keep.k:
        return said
    order_NK = said.log_NK.argsort(dim=-1, descending=True, stable=True)
    log_NK, ids_NK = said.log_NK.gather(1, order_NK), said.ids_NK.gather(1, order_NK)
    tails = {T: tail_N.logaddexp((log_NK[:, keep.k :] / T).logsumexp(dim=-1)) for T, tail_N in said.log_tail_N.items()}
    return TopK(ids_NK[:, : keep.k], log_NK[:, : keep.k], tails)


def top_k_rows(said: TopK, keep: KeepTopK) -> Rows:
    import torch

    tails_NT = torch.stack([said.log_tail_N[T].float() for T in keep.temperatures], dim=1)
    return {
        "ids": three_bytes(said.ids_NK.cpu().numpy()),
        "log_probs": said.log_NK.float().cpu().numpy(),
        "log_tail": tails_NT.cpu().numpy(),
    }


def top_k_of(rows: Sequence[Rows], keep: KeepTopK) -> TopK:
    """The words of several windows, end to end, on the CPU."""
    import numpy as np
    import torch

    ids, log_probs, tails = (
        np.concatenate([found[name] for found in rows]) for name in ("ids", "log_probs", "log_tail")
    )
    tails_NT = torch.from_numpy(tails)
    by_temperature = {T: tails_NT[:, place].contiguous() for place, T in enumerate(keep.temperatures)}
    return TopK(torch.from_numpy(from_three_bytes(ids)), torch.from_numpy(log_probs), by_temperature)


def three_bytes(ids: "NDArray[np.int64]") -> "NDArray[np.uint8]":
    """Numbers below 2^24 as [..., 3] bytes, the lowest first."""
    import numpy as np

    return np.ascontiguousarray(ids, dtype="<u4")[..., None].view(np.uint8)[..., :ID_BYTES]


def from_three_bytes(stored: "NDArray[np.generic]") -> "NDArray[np.int64]":
    import numpy as np

    wide = np.zeros((*stored.shape[:-1], 4), np.uint8)
    wide[..., : stored.shape[-1]] = stored
    return wide.view("<u4")[..., 0].astype(np.int64)
