"""A config file of accelerate's, read for what only it knows: which GPUs, how many processes, which port.

How processes share a model is the strategy's, and what a training does is the recipe's: a file that says otherwise is
refused by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demiurgic.core.errors import UserError
from demiurgic.run.context import Strategy
from demiurgic.run.yaml_lines import read_yaml

ZERO_2 = {
    "zero_stage": 2,
    "gradient_accumulation_steps": 1,
    "offload_optimizer_device": "none",
    "offload_param_device": "none",
    "zero3_init_flag": False,
    "zero3_save_16bit_model": False,
}
"""What a file may say of DeepSpeed: what is done anyway. Accumulation is the recipe's `micro_batch`."""
SAID_ELSEWHERE = {
    "mixed_precision": "the recipe says it (precision)",
    "fp8_config": "the recipe says it (precision)",
    "dynamo_config": "the recipe says it (compile)",
    "use_cpu": "--device cpu says it",
    "fsdp_config": "--strategy says it",
    "deepspeed_config": "--strategy says it",
    "megatron_lm_config": "--strategy says it",
    "parallelism_config": "--strategy says it",
}
"""What would have no effect in a file, and who says it."""
NOTHING: tuple[Any, ...] = (None, False, "no", "NO", {})
"""What `accelerate config` writes where nothing was asked for."""


def read_config(file: Path, *, strategy: Strategy) -> dict[str, Any]:
    """What the file says, without how processes share a model. Raises UserError where it asks for what is not done."""
    try:
        found = read_yaml(file).value
    except PermissionError as error:
        raise UserError(f"The launch config {file} cannot be read: {error.strerror}. Check its rights.") from None
    if not isinstance(found, dict):
        raise UserError(f"{file} is no config of accelerate: it holds no mapping. Make one with: accelerate config")
    _refuse_another_strategy(file, found, strategy)
    _refuse_no_count(file, found, "num_processes")
    _refuse_no_count(file, found, "num_machines")
    if (found.get("num_machines") or 1) > 1:
        raise UserError(
            f"{file} asks for {found['num_machines']} machines; a step runs on one, since its files are there. Set "
            "num_machines: 1."
        )
    _refuse_what_has_no_effect(file, found)
    shared = ("distributed_type", "deepspeed_config")
    return {name: value for name, value in found.items() if value is not None and name not in shared}


def _refuse_what_has_no_effect(file: Path, found: Mapping[str, Any]) -> None:
    for name, who in SAID_ELSEWHERE.items():
        of_zero = name == "deepspeed_config" and found.get("distributed_type") == "DEEPSPEED"
        if found.get(name) not in NOTHING and not of_zero:
            raise UserError(f"{file} has {name}: {found[name]}, which would have no effect: {who}. Remove it there.")


def _refuse_no_count(file: Path, found: Mapping[str, Any], name: str) -> None:
    value = found.get(name)
    if value is not None and (type(value) is not int or value < 1):
        raise UserError(f"{file} has {name}: {value}; wanted a whole number from 1 on. Correct it there.")


def _refuse_another_strategy(file: Path, found: dict[str, Any], strategy: Strategy) -> None:
    kind = found.get("distributed_type", "MULTI_GPU")
    if kind == "DEEPSPEED" and strategy == "deepspeed":
        _refuse_more_than_zero_2(file, found.get("deepspeed_config") or {})
    elif kind not in ("MULTI_GPU", "MULTI_CPU", "NO"):
        raise UserError(
            f"{file} has distributed_type: {kind}. How processes share a model is said by --strategy; set "
            "distributed_type: MULTI_GPU there."
        )


def _refuse_more_than_zero_2(file: Path, said: dict[str, Any]) -> None:
    for name, value in said.items():
        if value is not None and (name not in ZERO_2 or value != ZERO_2[name]):
            done = ", ".join(f"{known}: {str(wanted).lower()}" for known, wanted in ZERO_2.items())
            raise UserError(
                f"{file} has {name}: {value} in its deepspeed_config. --strategy deepspeed is ZeRO 2, and clipping and "
                f"accumulation are the recipe's (gradient_clip, micro_batch). Leave it away (the section may say "
                f"{done}), or cut the weights, too, with --strategy fsdp2."
            )
