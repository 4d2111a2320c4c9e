"""Which implementation of attention a model uses, and how each of them is told where documents end.

Shapes: B windows, T tokens of a window.
"""

import importlib.util
from typing import TYPE_CHECKING, Any, Literal

from demiurgic.core.errors import UserError
from demiurgic.models.precision import Precision

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Attention = Literal["auto", "eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3"]

FLASH_PACKAGES = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_interface"}

SHORT_WINDOW = 512
"""On a CPU the fused kernel's backward pass costs more than plain matrix products for short windows: a training step on
4 × 256 tokens takes 205 ms with sdpa and 188 ms with eager (5.8 M parameters, two cores, medians of 35 in turns)."""


def use_attention(model: "PreTrainedModel", name: Attention, *, length: int, precision: Precision) -> None:
    """Set the implementation; `auto` is what trains fastest on the model's device. Results differ by rounding alone.

    Raises UserError for what cannot be trained with here: flash attention without its package, its device or bf16,
    flexible attention on a CPU.
    """
    if name == "auto":
        plain = model.device.type == "cpu" and length <= SHORT_WINDOW
        name = "eager" if plain else "sdpa"
    if name in FLASH_PACKAGES:
        _refuse_no_flash(name, model.device, precision)
    if name == "flex_attention" and model.device.type == "cpu":
        raise UserError(
            "attention: flex_attention has no backward pass on CPUs. Set attention: sdpa, or leave it at auto."
        )
    model.set_attn_implementation(name)


def takes_documents_by_position(model: "PreTrainedModel") -> bool:
    """Whether the implementation reads documents' borders from positions that restart, and takes no mask.

    Flash attention does: transformers cuts all tokens of a batch into sequences where a position is 0 (cu_seqlens).
    """
    return str(model.config._attn_implementation) in FLASH_PACKAGES


def attention_mask(model: "PreTrainedModel", allowed_BTT: "Tensor") -> Any:
    """A boolean mask [B,T,T] (query, key) in the form the model's implementation takes: [B,1,T,T]."""
    name = str(model.config._attn_implementation)
    if name in FLASH_PACKAGES:
        raise AssertionError("flash attention takes positions and no mask")
    if name == "flex_attention":
        return _block_mask(allowed_BTT)
    allowed = allowed_BTT[:, None]
    if name != "eager":
        return allowed
    import torch

    nothing = torch.zeros(allowed.shape, dtype=model.dtype, device=allowed.device)
    return nothing.masked_fill(~allowed, torch.finfo(model.dtype).min)


def _block_mask(allowed_BTT: "Tensor") -> Any:
    from torch.nn.attention.flex_attention import create_block_mask

    num_windows, length, _ = allowed_BTT.shape

    def allowed(window: Any, head: Any, query: Any, key: Any) -> Any:
        del head
        return allowed_BTT[window, query, key]

    return create_block_mask(allowed, num_windows, None, length, length, device=str(allowed_BTT.device))


def _refuse_no_flash(name: str, device: Any, precision: Precision) -> None:
    package = FLASH_PACKAGES[name]
    missing = []
    if precision != "bf16":
        missing.append(f"precision: bf16 (this is {precision})")
    if device.type != "cuda":
        missing.append(f"a CUDA device (this is {device})")
    if importlib.util.find_spec(package) is None:
        missing.append(f"the package {package}")
    if missing:
        raise UserError(
            f"attention: {name} needs {' and '.join(missing)}. Set attention: sdpa, which is there on every device, or "
            "leave it at auto."
        )
