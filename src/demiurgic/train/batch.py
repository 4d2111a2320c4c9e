"""Windows on the training device, and which of their tokens are supervised.

Shapes: B windows, T tokens of a window, N supervised tokens.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from demiurgic.models.windows import Batch


@dataclass(frozen=True)
class TokenBatch:
    """Windows on the training device. `weights_BT[b, t]` scales the loss of token t as predicted from t - 1."""

    ids_BT: "Tensor"
    weights_BT: "Tensor"
    documents_BT: "Tensor"
    windows: tuple[int, ...] | None = None
    """Which windows of the training tokens these are; None for text that the student wrote."""

    @classmethod
    def of(cls, batch: "Batch", *, device: "torch.device") -> "TokenBatch":
        import torch

        arrays = (batch.ids_BT, batch.weights_BT, batch.documents_BT)
        windows = None if batch.windows_B is None else tuple(batch.windows_B.tolist())
        ids_BT, weights_BT, documents_BT = (torch.from_numpy(array).to(device) for array in arrays)
        return cls(ids_BT, weights_BT, documents_BT, windows)

    def supervised(self) -> "SupervisedTokens":
        """The first token of a window has nothing before it; its weight is 0 by the rule of the tokens folder, so that
        position - 1 is always in the same window.
        """
        weights = self.weights_BT.flatten()
        targets_N = weights.nonzero()[:, 0]
        return SupervisedTokens(targets_N - 1, self.ids_BT.flatten()[targets_N], weights[targets_N])

    def documents_of_supervised(self) -> "Tensor":
        """For each supervised token a number [N], the same within a document of a window and nowhere else."""
        import torch

        num_windows = len(self.documents_BT)
        firsts_B1 = torch.arange(num_windows, device=self.documents_BT.device)[:, None] * (self.documents_BT.max() + 1)
        return (self.documents_BT + firsts_B1)[self.weights_BT != 0]


@dataclass(frozen=True)
class SupervisedTokens:
    """The tokens that a loss is asked of, in the order of the flattened windows."""

    positions_N: "Tensor"
    """In the flattened [B·T], *from* which each is predicted."""
    labels_N: "Tensor"
    weights_N: "Tensor"
