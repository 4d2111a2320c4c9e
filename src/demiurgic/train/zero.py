"""DeepSpeed's ZeRO, stage 2: gradients and optimizer state in shards, beside a whole copy of the weights.

Each process owns a range of all trained parameters laid end to end. After the last micro-batch's backward pass it holds
the mean gradient of that range alone, steps fp32 master weights of it, and the processes put the new weights together.
DeepSpeed is given no clipping, no accumulation and no schedule: those are the loop's, and its numbers are those of the
log. Stage 3 is not done here: shards of the weights, too, are what `fsdp2` does.
"""

import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from demiurgic.core.optional import require
from demiurgic.models.precision import Precision

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer

BUCKET = 50_000_000
"""Numbers of gradients that travel at once, out of a buffer of as many: 200 MB, a tenth of DeepSpeed's own choice."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""The names of AdamW's two means."""


def under_zero(
    objective: "Module", optimizer: "Optimizer", *, device: "Any", precision: Precision, micro_batch: int
) -> "tuple[Module, ZeroOptimizer]":
    """DeepSpeed's engine around the objective, and the optimizer as the loop uses one.

    The processes must have found one another already. `optimizer` is over the objective's parameters; from here on it
    steps this process's range of them. Raises UserError where DeepSpeed is missing.
    """
    require("deepspeed")
    import deepspeed  # type: ignore[import-not-found,unused-ignore]
    from deepspeed.accelerator import get_accelerator  # type: ignore[import-not-found,unused-ignore]

    if get_accelerator().device_name() != device.type:
        raise AssertionError(f"DeepSpeed was imported for {get_accelerator().device_name()}, not {device.type}")
    if device.type == "cpu":
        # sums over shared memory for inference: unused here, and compiled at first use
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    # DeepSpeed's matter, at every step of the optimizer
    warnings.filterwarnings("ignore", r"`torch\.distributed\.all_gather_into_tensor`", category=FutureWarning)
    config = zero_config(precision=precision, micro_batch=micro_batch)
    engine, *_ = deepspeed.initialize(model=objective, optimizer=optimizer, config=config)
    return engine, ZeroOptimizer(engine)


def zero_config(*, precision: Precision, micro_batch: int) -> dict[str, Any]:
    """DeepSpeed's own config for a training of ours. What is the loop's is switched off by name, not left to defaults.

    bf16 is autocast over fp32 weights, as everywhere; gradients are summed in fp32, since no module is named as one
    whose gradients travel in bf16.
    """
    return {
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": 1,  # else it divides each loss by it
        "gradient_clipping": 0.0,
        "steps_per_print": None,
        "zero_optimization": {"stage": 2, "compute_grad_norm": False, "reduce_bucket_size": BUCKET},
        "torch_autocast": {"enabled": precision == "bf16", "dtype": "bfloat16", "lower_precision_safe_modules": []},
    }


def is_zero_engine(objective: "Module") -> bool:
    """Whether DeepSpeed's engine is around this objective."""
    deepspeed = sys.modules.get("deepspeed")
    return deepspeed is not None and isinstance(objective, deepspeed.DeepSpeedEngine)


def is_under_zero(module: "Module") -> bool:
    """Whether the trained parameters of this module, which no engine need be around, have their state in shards."""
    return any(hasattr(parameter, "_hp_mapping") for parameter in module.parameters())


@contextmanager
def before_the_last(engine: Any) -> Iterator[None]:
    """A backward pass in here is not the last of its step: the gradients are summed up and not handed over."""
    engine.set_gradient_accumulation_boundary(False)
    try:
        yield
    finally:
        engine.set_gradient_accumulation_boundary(True)


def own_gradients(module: "Module") -> "Iterator[tuple[str, Tensor]]":
    """The part of each parameter's mean gradient that this process owns, after the last backward pass of a step.

    Views: what is done to them is done to the gradient.
    """
    for name, parameter in module.named_parameters():
        mapping = getattr(parameter, "_hp_mapping", None)
        if mapping is not None and mapping.gradient_dict.get(mapping.param_group_index) is not None:
            yield name, mapping.get_lp_grad_fragment(parameter._index_in_param_group)  # type: ignore[attr-defined]


def norm_over_all(own_norm: "Tensor") -> "Tensor":
    """The Euclidean norm of what all processes own, from that of what each owns."""
    import torch.distributed as dist

    square = own_norm.double() ** 2
    dist.all_reduce(square)
    return square.sqrt()


def of_all(names: set[str]) -> set[str]:
    """What any process names."""
    import torch.distributed as dist

    found: list[set[str]] = [set()] * dist.get_world_size()
    dist.all_gather_object(found, names)
    return set().union(*found)


def refresh_masters(parameters: "Sequence[Tensor]") -> None:
    """Set this process's fp32 master weights to the parameters, which something else has changed."""
    for parameter in parameters:
        mapping: Any = getattr(parameter, "_hp_mapping", None)
        if mapping is not None:
            mapping.hp_fragment.data.copy_(_own(parameter.detach(), mapping))


class ZeroOptimizer:
    """The optimizer of an engine as the loop uses one. Its state goes out and comes in as that of plain AdamW, with
    whole tensors, so that a training goes on with any number of processes and under any strategy.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._zero = engine.optimizer
        self._adamw: Optimizer = engine.basic_optimizer

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self._adamw.param_groups

    def step(self) -> None:
        self._engine.step()

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        self._zero.zero_grad(set_to_none=set_to_none)
        for group in self._zero.averaged_gradients:
            self._zero.averaged_gradients[group] = self._zero.all_grad_tensors[group] = None

    def state_dict(self) -> dict[str, Any]:
        """All processes must ask for it."""
        state: dict[int, dict[str, Any]] = {}
        groups = []
        for parameters, flat, group in self._groups():
            own = self._adamw.state.get(flat, {})
            numbers = range(len(state), len(state) + len(parameters))
            state |= {n: _whole_state(p, own) for n, p in zip(numbers, parameters, strict=True)}
            groups.append({**group, "params": list(numbers)})
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, found: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave, here or over the whole parameters in one process."""
        import torch

        for (parameters, flat, group), saved in zip(self._groups(), found["param_groups"], strict=True):
            group.update({name: value for name, value in saved.items() if name != "params"})
            states = [found["state"].get(number, {}) for number in saved["params"]]
            if not all(states):
                continue  # of before the first step
            own = {name: torch.zeros_like(flat, requires_grad=False) for name in MOMENTS}
            for parameter, state in zip(parameters, states, strict=True):
                mapping = parameter._hp_mapping
                for name, moment in own.items() if mapping is not None else ():
                    mine = _own(state[name].to(moment), mapping)
                    moment.narrow(0, mapping.hp_fragment_address.start, mapping.hp_fragment_address.numel).copy_(mine)
            self._adamw.state[flat] = {**own, "step": states[0]["step"].to(flat.device, torch.float32, copy=True)}

    def _groups(self) -> "Iterator[tuple[list[Any], Tensor, dict[str, Any]]]":
        """Of each group the parameters in their order, this process's range of them, and its settings."""
        ranges = self._zero.single_partition_of_fp32_groups
        yield from zip(self._zero.bit16_groups, ranges, self._adamw.param_groups, strict=True)


def _whole_state(parameter: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """AdamW's state of one parameter, put together from what each process owns of it."""
    import torch
    import torch.distributed as dist

    if not own:
        return {}
    mapping = parameter._hp_mapping
    found = {"step": own["step"].clone()}
    for name in MOMENTS:
        whole = torch.zeros(parameter.shape, dtype=torch.float32, device=parameter.device)
        if mapping is not None:
            address = mapping.hp_fragment_address
            _own(whole, mapping).copy_(own[name].narrow(0, address.start, address.numel))
        dist.all_reduce(whole)  # all others have 0 there
        found[name] = whole
    return found


def _own(whole: "Tensor", mapping: Any) -> "Tensor":
    """The part of a parameter-shaped tensor that this process owns, flat; a view."""
    address = mapping.lp_fragment_address
    return whole.view(-1).narrow(0, address.start, address.numel)
