"""The loss on windows the student is not trained on, which chooses its best checkpoint.

Shapes: B windows, T tokens of a window.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.core.seeds import Seeds
from demiurgic.models.windows import Windows
from demiurgic.train.batch import TokenBatch

if TYPE_CHECKING:
    from torch import Tensor

EVALUATION_WINDOWS = 8
"""Windows of one held-out batch."""


@dataclass(frozen=True)
class HeldOut:
    """The windows that choose the best weights, how often they are asked, and when to give up."""

    windows: Windows
    chosen: Sequence[int]
    every: int
    patience: int | None = None
    """Looks in a row without a better loss, after which the training ends."""


@dataclass(frozen=True)
class HeldOutLoss:
    """The mean over all supervised tokens of `num_windows` windows.

    It chooses a checkpoint and estimates nothing: the lowest of many looks is too low, and windows share modules.
    """

    nats_per_token: float
    num_windows: int
    """Those with supervised tokens."""


def chosen_windows(windows: Windows, count: int | None, *, seeds: Seeds) -> list[int]:
    """All windows, or a random `count` of them: the same at every evaluation."""
    if count is None or count >= len(windows):
        return list(range(len(windows)))
    return sorted(seeds.stream("held_out").sample(range(len(windows)), count))


def held_out_loss(
    nats: "Callable[[TokenBatch], Tensor]",
    held_out: HeldOut,
    *,
    accelerator: Any,
    between: Callable[[], None],
) -> HeldOutLoss:
    """Cross-entropy of the chosen windows. `nats` gives -log p [B,T] of each supervised token, 0 elsewhere.

    Processes share the batches out, as many for each: one that has none left asks the first again, and drops the
    answer. `between` is called before each batch. Raises UserError when fewer than 2 windows have supervised tokens.
    """
    import torch

    starts = range(0, len(held_out.chosen), EVALUATION_WINDOWS)
    sums = torch.zeros(2, len(held_out.chosen), dtype=torch.float64)
    for turn in range(0, len(starts), accelerator.num_processes):
        between()
        number = turn + accelerator.process_index
        start = starts[number] if number < len(starts) else starts[0]
        found = held_out.windows.batch(held_out.chosen[start : start + EVALUATION_WINDOWS])
        batch = TokenBatch.of(found, device=accelerator.device)
        weights_BT = batch.weights_BT.double()
        nats_B = (nats(batch).double() * weights_BT).sum(dim=1)
        if number < len(starts):
            sums[:, start : start + len(nats_B)] = torch.stack([nats_B, weights_BT.sum(dim=1)]).cpu()
    return _mean(_of_all(sums, accelerator), held_out)


def _of_all(sums: "Tensor", accelerator: Any) -> "Tensor":
    """Each window was asked by one process, so that a sum puts them side by side, in the same order for any number."""
    if accelerator.num_processes == 1:
        return sums
    import torch.distributed as dist

    found = sums.to(accelerator.device)
    dist.all_reduce(found)
    return found.cpu()


def _mean(sums: "Tensor", held_out: HeldOut) -> HeldOutLoss:
    nats, weights = sums.tolist()
    num_windows = sum(weight > 0 for weight in weights)
    if num_windows < 2:
        raise UserError(
            f"{held_out.windows.folder}: {num_windows} of the {len(held_out.chosen)} held-out windows have supervised "
            "tokens; wanted at least 2, to tell checkpoints apart. Give more held-out rows, or leave held_out away."
        )
    return HeldOutLoss(sum(nats) / sum(weights), num_windows)
