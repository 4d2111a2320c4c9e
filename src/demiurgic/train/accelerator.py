"""The one place that makes an `accelerate.Accelerator`: which device, which precision, and where randomness starts."""

from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.seeds import Seeds
from demiurgic.models.precision import Precision, autocast

if TYPE_CHECKING:
    import torch


def accelerator_on(device: "torch.device", precision: Precision) -> Any:
    """A fresh accelerator. Its state is one per process and fixed at first use; a recipe trains many models in one.

    Accelerate reads much from environment variables; none of them may change what a config says. Raises UserError when
    one does, and for bf16 on a device without it.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState
    from accelerate.utils import GradientAccumulationPlugin

    autocast(device, precision)  # refuses with a reason what Accelerator would refuse without one
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    mixed_precision = "bf16" if precision == "bf16" else "no"
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=mixed_precision,
        # by the plug-in: gradient_accumulation_steps gives way to the environment, and scales every gradient
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
    )
    found = (accelerator.device.type, accelerator.mixed_precision, accelerator.gradient_accumulation_steps)
    wanted = (device.type, mixed_precision, 1)
    if found != wanted:
        raise UserError(
            f"Accelerate was set up as {found} (device, precision, gradient accumulation) where {wanted} is to be "
            "trained. Unset the environment variables whose names begin with ACCELERATE_."
        )
    return accelerator


def seed_randomness(seeds: Seeds) -> None:
    """Set the global random streams of Python, NumPy and torch, which a model's dropout reads."""
    from accelerate.utils import set_seed

    set_seed(seeds.number("global") % 2**32)
