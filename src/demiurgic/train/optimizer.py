"""AdamW over a model, and one gradient for it out of the windows of a step.

Shapes: B windows, T tokens of a window, K loss components.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.models.windows import Batch
from demiurgic.train.batch import TokenBatch
from demiurgic.train.components import Component
from demiurgic.train.parallel import autocast_of, backward, gradients, without_sync
from demiurgic.train.weights import whole
from demiurgic.train.zero import is_under_zero, norm_over_all, of_all

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer


def adamw(model: "Module", *, weight_decay: float, betas: tuple[float, float]) -> "Optimizer":
    """Fused AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101). Matrices decay, embeddings among them; vectors do not.

    The learning rate is set anew at every step.
    """
    import torch

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0, betas=betas, fused=True)


@dataclass(frozen=True)
class Gradient:
    """What a step's windows said. The gradient itself lies in the parameters.

    `total` is the number that was differentiated; `raw_K` the components without their weights.
    """

    total: float
    raw_K: Sequence[float]
    tokens: int
    """Tokens of the windows, without padding."""


def accumulate(
    objective: "Module", batch: Batch, *, components: Sequence[Component], accelerator: Any, micro_batch: int
) -> Gradient:
    """Add the gradient of the mean loss over all supervised tokens of `batch` to the parameters.

    The mean is over the whole batch: neither `micro_batch` nor the number of processes changes the gradient.
    Processes share the windows out; their gradients are averaged, so each counts its own as many times as there are
    processes. A batch without supervised tokens has the gradient 0.
    """
    import torch

    world, rank = accelerator.num_processes, accelerator.process_index
    denominator = float(batch.weights_BT.sum(dtype="float64")) or 1.0
    micros = _micro_batches(batch, rank=rank, world=world, size=micro_batch)
    parts = []
    for number, micro in enumerate(micros, start=1):
        with nullcontext() if number == len(micros) else without_sync(objective):
            tokens = TokenBatch.of(micro, device=accelerator.device)
            with autocast_of(accelerator, objective):
                losses = objective(tokens, denominator / world, components)
            backward(objective, losses.total, accelerator)
        parts.append(torch.cat([losses.total.detach().double()[None], losses.raw_K]))
    total, *raw_K = accelerator.reduce(torch.stack(parts).sum(dim=0), reduction="mean").tolist()
    return Gradient(total, raw_K, int((batch.documents_BT != 0).sum()))


def _micro_batches(batch: Batch, *, rank: int, world: int, size: int) -> list[Batch]:
    """The share of a process in a batch, cut up: as many pieces for every process, since each piece is a rendezvous.

    What is lacking is filled up with a window of which nothing is supervised.
    """
    num_windows = len(batch.ids_BT)
    mine = _windows(batch, slice(rank, None, world))
    pieces = range(0, math.ceil(num_windows / world), size)
    micros = [_windows(mine, slice(start, start + size)) for start in pieces if start < len(mine.ids_BT)]
    nothing = replace(_windows(batch, slice(0, 1)), weights_BT=0 * batch.weights_BT[:1], windows_B=None)
    return [*micros, *[nothing] * (len(pieces) - len(micros))]


def _windows(batch: Batch, which: slice) -> Batch:
    windows_B = batch.windows_B[which] if batch.windows_B is not None else None
    return Batch(batch.ids_BT[which], batch.weights_BT[which], batch.documents_BT[which], windows_B)


def gradient_norm(module: "Module") -> float:
    """The Euclidean norm over all parameters' gradients; under shards all processes must ask for it."""
    from torch.nn.utils import get_total_norm

    norm = get_total_norm([gradient for _, gradient in gradients(module)])
    if is_under_zero(module):
        device = next(module.parameters()).device  # who owns nothing has a norm of no device
        return float(norm_over_all(norm.to(device)))
    return float(whole(norm))


def clip(module: "Module", norm: float, *, limit: float | None) -> None:
    """Scale a gradient of norm `norm` down to `limit`."""
    if limit is not None and norm > limit:
        for _, gradient in gradients(module):
            gradient.mul_(limit / (norm + 1e-6))


def refuse_non_finite_loss(gradient: Gradient, names: Sequence[str], *, step: int, windows: Sequence[int]) -> None:
    """Raises UserError naming the component that is not a finite number."""
    for name, raw in zip(names, gradient.raw_K, strict=True):
        if not math.isfinite(raw):
            raise UserError(_non_finite(f"the loss {name} is {raw}", step, windows))
    if not math.isfinite(gradient.total):
        raise UserError(_non_finite(f"the total of the losses is {gradient.total}", step, windows))


def refuse_non_finite_norm(norm: float, model: "Module", *, step: int, windows: Sequence[int]) -> None:
    """Raises UserError naming the first parameter whose gradient is not finite."""
    if math.isfinite(norm):
        return
    bad = {name for name, gradient in gradients(model) if not whole(gradient).isfinite().all()}
    if is_under_zero(model):
        bad = of_all(bad)
    where = next((f", first that of {name}" for name, _ in model.named_parameters() if name in bad), "")
    raise UserError(_non_finite(f"the gradient's norm is {norm}{where}", step, windows))


def _non_finite(what: str, step: int, windows: Sequence[int]) -> str:
    return (
        f"At step {step} {what}, on the windows {', '.join(map(str, windows))}. The weights were not changed. "
        "Try a lower learning_rate, more warmup_steps or precision: fp32, and look at the rows of these windows."
    )
