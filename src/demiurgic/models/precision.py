"""Which numbers the work is done in. Weights stay in fp32; bf16 here means the matrix products under autocast."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from demiurgic.core.errors import UserError

if TYPE_CHECKING:
    import torch

Precision = Literal["bf16", "fp32"]


def autocast(
    device: "torch.device", precision: Precision, *, keep_weights: bool = True
) -> AbstractContextManager[object]:
    """The context in which a model's forward pass runs. Losses and head products belong outside of it, in fp32.

    With `keep_weights` the bf16 copies of weights are kept to the end of the context, for layers that run twice.

    Raises UserError for bf16 on a device without it. Every CPU computes bf16 (see `native_bf16` for whether fast).
    """
    import torch

    if precision == "fp32":
        return nullcontext()
    if device.type != "cpu" and not native_bf16(device):
        raise UserError(
            f"bf16 was asked for and {describe_device(device)} does not compute in it. Set precision: fp32."
        )
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=keep_weights)


def native_bf16(device: "torch.device") -> bool:
    """Whether the device has bf16 instructions of its own; a CPU without them is correct and several times slower."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        return any(bool(has.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def describe_device(device: "torch.device") -> str:
    """The device as a person knows it."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"the device {device}"
