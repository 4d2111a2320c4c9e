"""Final hidden states as rows of a cache, and the head that reads them as a file.

Shapes: N tokens, D hidden width, V vocabulary.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.models.head import LogitRule, OutputHead
from demiurgic.train.cache.facts import HEAD, INDEX
from demiurgic.train.cache.keep import KeepHidden
from demiurgic.train.cache.layout import Rows

if TYPE_CHECKING:
    from torch import Tensor


def hidden_rows(hidden_ND: "Tensor", keep: KeepHidden) -> Rows:
    import numpy as np
    import torch

    if keep.dtype == "fp32":
        return {"hidden": hidden_ND.float().cpu().numpy()}
    # NumPy has no bf16
    return {"hidden": hidden_ND.to(torch.bfloat16).cpu().view(torch.int16).numpy().view(np.uint16)}


def hidden_of(rows: Sequence[Rows], keep: KeepHidden) -> "Tensor":
    """The states [N,D] of several windows, end to end, in the type they are stored in."""
    import numpy as np
    import torch

    stored_ND = np.concatenate([found["hidden"] for found in rows])
    if keep.dtype == "fp32":
        return torch.from_numpy(stored_ND)
    return torch.from_numpy(stored_ND.view(np.int16)).view(torch.bfloat16)


def write_head(folder: Path, head: OutputHead, *, vocab_size: int) -> None:
    """The first `vocab_size` rows of a head; in bf16 where that loses nothing.

    Raises OSError when the disk is full.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {"weight": head.weight_VD[:vocab_size]}
    if head.bias_V is not None:
        tensors["bias"] = head.bias_V[:vocab_size]
    partial = folder / f"{HEAD}.tmp"
    try:
        save_file({name: _smallest(tensor) for name, tensor in tensors.items()}, partial)
    except SafetensorError as error:
        # safetensors reports a failed write by an exception of its own, which is no OSError
        raise OSError(str(error)) from error
    partial.chmod((folder / INDEX).stat().st_mode)  # it writes files that their owner alone may read
    partial.replace(folder / HEAD)


def read_head(folder: Path, rule: LogitRule) -> OutputHead:
    """A head as `write_head` left it, in fp32."""
    from safetensors.torch import load_file

    tensors = {name: tensor.float() for name, tensor in load_file(folder / HEAD).items()}
    return OutputHead(tensors["weight"], tensors.get("bias"), rule)


def _smallest(tensor: "Tensor") -> "Tensor":
    import torch

    found = tensor.detach().cpu().contiguous()
    rounded = found.to(torch.bfloat16)
    return rounded if torch.equal(rounded.to(found.dtype), found) else found.clone()
