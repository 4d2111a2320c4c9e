"""The loss on windows the student is not trained on, which chooses its best checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.core.seeds import Seeds
from demiurgic.models.likelihood import token_nats
from demiurgic.models.precision import Precision, autocast
from demiurgic.models.windows import Windows

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


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
    model: "PreTrainedModel",
    windows: Windows,
    chosen: Sequence[int],
    *,
    batch: int,
    device: "torch.device",
    precision: Precision,
    between: Callable[[], None],
) -> HeldOutLoss:
    """Cross-entropy of the chosen windows, in eval mode. `between` is called before each batch.

    Raises UserError when fewer than 2 of them have supervised tokens.
    """
    import torch

    nats, weights, num_windows = 0.0, 0.0, 0
    was_training = model.training
    model.eval()
    for start in range(0, len(chosen), batch):
        between()
        found = windows.batch(chosen[start : start + batch])
        ids_BT, documents_BT = (torch.from_numpy(array).to(device) for array in (found.ids_BT, found.documents_BT))
        with autocast(device, precision):
            nats_BT = token_nats(model, ids_BT, documents_BT=documents_BT).double().cpu()
        weights_BT = torch.from_numpy(found.weights_BT).double()
        sums_B = (nats_BT * weights_BT).sum(dim=1).tolist()
        for window_nats, weight in zip(sums_B, weights_BT.sum(dim=1).tolist(), strict=True):
            nats += window_nats
            weights += weight
            num_windows += weight > 0
    model.train(was_training)
    if num_windows < 2:
        raise UserError(
            f"{windows.folder}: {num_windows} of the {len(chosen)} held-out windows have supervised tokens; wanted at "
            "least 2, to tell checkpoints apart. Give more held-out rows, or leave held_out away."
        )
    return HeldOutLoss(nats / weights, num_windows)
