"""The one place that makes an `accelerate.Accelerator`: which device, which precision, and where randomness starts."""

from typing import TYPE_CHECKING, Any

from demiurgic.core.seeds import Seeds
from demiurgic.models.precision import Precision, autocast

if TYPE_CHECKING:
    import torch


def accelerator_on(device: "torch.device", precision: Precision) -> Any:
    """A fresh accelerator. Its state is one per process and fixed at first use; a recipe trains many models in one.

    Raises UserError for bf16 on a device without it.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    autocast(device, precision)  # refuses with a reason what Accelerator would refuse without one
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    return Accelerator(cpu=device.type == "cpu", mixed_precision="bf16" if precision == "bf16" else "no")


def seed_randomness(seeds: Seeds) -> None:
    """Set the global random streams of Python, NumPy and torch, which a model's dropout reads."""
    from accelerate.utils import set_seed

    set_seed(seeds.number("global") % 2**32)
