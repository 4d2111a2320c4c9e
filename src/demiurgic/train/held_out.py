"""The loss on windows the student is not trained on, which chooses its best checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric
from demiurgic.core.seeds import Seeds
from demiurgic.models.likelihood import token_nats
from demiurgic.models.precision import Precision, autocast
from demiurgic.models.windows import Windows
from demiurgic.stats.bootstrap import Measured, ratio

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class WindowLosses:
    """Weighted nats, and weights, of each window that has supervised tokens."""

    windows: Sequence[int]
    nats: Sequence[float]
    weights: Sequence[float]

    @property
    def nats_per_token(self) -> float:
        return sum(self.nats) / sum(self.weights)

    def metric(self, *, seed: int) -> Metric:
        """Nats per supervised token, with an interval over windows."""
        names = [str(window) for window in self.windows]
        return ratio(Measured(names, names, self.nats, self.weights), seed=seed)


def chosen_windows(windows: Windows, count: int | None, *, seeds: Seeds) -> list[int]:
    """All windows, or a random `count` of them: the same at every evaluation."""
    if count is None or count >= len(windows):
        return list(range(len(windows)))
    return sorted(seeds.stream("held_out").sample(range(len(windows)), count))


def held_out_losses(
    model: "PreTrainedModel",
    windows: Windows,
    chosen: Sequence[int],
    *,
    batch: int,
    device: "torch.device",
    precision: Precision,
    between: Callable[[], None],
) -> WindowLosses:
    """Cross-entropy of the chosen windows, in eval mode. `between` is called before each batch.

    Raises UserError when fewer than 2 of them have supervised tokens.
    """
    import torch

    kept: list[int] = []
    nats: list[float] = []
    weights: list[float] = []
    was_training = model.training
    model.eval()
    for start in range(0, len(chosen), batch):
        between()
        indices = list(chosen[start : start + batch])
        found = windows.batch(indices)
        ids_BT, documents_BT = (torch.from_numpy(array).to(device) for array in (found.ids_BT, found.documents_BT))
        with autocast(device, precision):
            nats_BT = token_nats(model, ids_BT, documents_BT=documents_BT).double().cpu()
        weights_BT = torch.from_numpy(found.weights_BT).double()
        sums_B = (nats_BT * weights_BT).sum(dim=1).tolist()
        for index, total, weight in zip(indices, sums_B, weights_BT.sum(dim=1).tolist(), strict=True):
            if weight > 0:
                kept.append(index)
                nats.append(total)
                weights.append(weight)
    model.train(was_training)
    if len(kept) < 2:
        raise UserError(
            f"{windows.folder}: {len(kept)} of the {len(chosen)} held-out windows have supervised tokens; wanted at "
            "least 2, to tell checkpoints apart. Give more held-out rows, or leave held_out away."
        )
    return WindowLosses(kept, nats, weights)
