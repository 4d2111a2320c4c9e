"""The one place that makes an `accelerate.Accelerator`: which device and which precision."""

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.models.precision import Precision, autocast

if TYPE_CHECKING:
    import torch


PATIENCE = timedelta(hours=2)
"""How long processes wait for one another: the first may be writing a large checkpoint to a slow disk."""


def accelerator_on(device: "torch.device", precision: Precision, *, processes: int | None = None) -> Any:
    """A fresh accelerator. Its state is one per process and fixed at first use; a recipe trains many models in one.

    `processes` is how many our own launch started; any number when None.

    Accelerate reads much from environment variables; none of them may change what a config says. Raises UserError when
    one does, and for bf16 on a device without it.
    """
    os.environ["DS_ACCELERATOR"] = device.type  # accelerate imports DeepSpeed, which takes a GPU wherever there is one
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState
    from accelerate.utils import GradientAccumulationPlugin, InitProcessGroupKwargs

    _refuse_too_few_gpus(device, processes)
    _use_the_gpu_that_was_named(device, processes)
    autocast(device, precision)  # refuses with a reason what Accelerator would refuse without one
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    mixed_precision = "bf16" if precision == "bf16" else "no"
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=mixed_precision,
        # by the plug-in: gradient_accumulation_steps gives way to the environment, and scales every gradient
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
    )
    found = (accelerator.device.type, accelerator.mixed_precision, accelerator.gradient_accumulation_steps)
    wanted = (device.type, mixed_precision, 1)
    if found != wanted:
        raise UserError(
            f"Accelerate was set up as {found} (device, precision, gradient accumulation) where {wanted} is to be "
            "trained. Unset the environment variables whose names begin with ACCELERATE_."
        )
    _refuse_foreign_launch(accelerator, processes)
    return accelerator


def _use_the_gpu_that_was_named(device: "torch.device", processes: int | None) -> None:
    """Accelerate takes the current one. Raises UserError where it is none, or several processes are to have it."""
    import torch

    if device.type != "cuda" or device.index is None:
        return
    if (processes or 1) > 1:
        raise UserError(
            f"The device {device} was asked for by {processes} processes, which take a GPU each. Give --device cuda, "
            "and which GPUs as gpu_ids in a --launch-config."
        )
    if device.index >= torch.cuda.device_count():
        raise UserError(
            f"The device {device} was asked for, and torch counts {torch.cuda.device_count()} GPUs, from 0."
        )
    torch.cuda.set_device(device)


def _refuse_too_few_gpus(device: "torch.device", processes: int | None) -> None:
    import torch

    if device.type == "cuda" and processes is not None and processes > torch.cuda.device_count():
        raise UserError(
            f"{processes} processes were asked for, and there are {torch.cuda.device_count()} GPUs. Give --processes "
            f"{torch.cuda.device_count()} or fewer."
        )


FOREIGN = ("FSDP", "DEEPSPEED", "MEGATRON_LM")
"""What accelerate's environment may turn a launch into, behind the back of ours."""


def _refuse_foreign_launch(accelerator: Any, processes: int | None) -> None:
    kind = accelerator.distributed_type.value
    if kind in FOREIGN:
        raise UserError(
            f"Accelerate's environment or its config file asks for {kind}. How processes share a model is said by "
            "--strategy; give a config file whose distributed_type is MULTI_GPU, or unset ACCELERATE_USE_*."
        )
    if processes is not None and accelerator.num_processes != processes:
        raise UserError(
            f"{processes} processes were to train, and the environment says {accelerator.num_processes} (WORLD_SIZE, "
            "RANK). Start demiurgic by itself, with --processes N; it starts the others."
        )
