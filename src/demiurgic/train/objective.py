"""The student and what it is trained on, as one module: its forward gives the number that is differentiated.

One module, so that whatever wraps it for several devices sees every parameter that gets a gradient.

Shapes: B windows, T tokens of a window, D hidden width, V vocabulary, N supervised tokens, K components.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from demiurgic.models.backbone import head_weight, hidden_states
from demiurgic.train.chunk import BUFFER_BYTES, Workspace
from demiurgic.train.head_loss import Component, Losses, Supervised, head_losses
from demiurgic.train.signals import TeacherSignal

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module
    from transformers import PreTrainedModel

    from demiurgic.models.windows import Batch


@dataclass(frozen=True)
class TokenBatch:
    """Windows on the training device. `weights_BT[b, t]` scales the loss of token t as predicted from t - 1."""

    ids_BT: "Tensor"
    weights_BT: "Tensor"
    documents_BT: "Tensor"

    @classmethod
    def of(cls, batch: "Batch", *, device: "torch.device") -> "TokenBatch":
        import torch

        arrays = (batch.ids_BT, batch.weights_BT, batch.documents_BT)
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))


def objective(
    model: "PreTrainedModel",
    components: Sequence[Component],
    *,
    teacher: TeacherSignal | None = None,
    bf16: bool = False,
    buffer_bytes: int = BUFFER_BYTES,
) -> "Module":
    """A module whose `forward(batch, denominator)` gives `Losses`.

    `denominator` is the sum of the weights of all supervised tokens of the optimizer step (all micro-batches), so that
    the gradients of micro-batches add up to that of the mean over the step's tokens, however it was cut. `bf16` allows
    bf16 operands for the head where their products come out in fp32.
    """
    module: Module = _module_class()(model, _Forward(tuple(components), teacher, Workspace(), bf16, buffer_bytes))
    return module


@dataclass(frozen=True)
class _Forward:
    components: tuple[Component, ...]
    teacher: TeacherSignal | None
    workspace: Workspace
    bf16: bool
    buffer_bytes: int

    def __call__(self, model: "PreTrainedModel", batch: TokenBatch, denominator: float) -> Losses:
        hidden_BTD = hidden_states(model, batch.ids_BT, documents_BT=batch.documents_BT)
        targets_N, labels_N, weights_N = _supervised(batch)
        return head_losses(
            hidden_BTD.flatten(0, 1).index_select(0, targets_N - 1),
            head_weight(model),
            Supervised(labels_N, weights_N / denominator, self._ask_teacher(batch, targets_N - 1)),
            components=self.components,
            workspace=self.workspace,
            bf16=self.bf16,
            buffer_bytes=self.buffer_bytes,
        )

    def _ask_teacher(self, batch: TokenBatch, positions_N: "Tensor") -> Any:
        asked = any(component.weight and component.needs_teacher for component in self.components)
        if not asked or self.teacher is None:
            return None
        return self.teacher.read(batch.ids_BT, documents_BT=batch.documents_BT, positions_N=positions_N)


def _supervised(batch: TokenBatch) -> "tuple[Tensor, Tensor, Tensor]":
    """Flat positions of the supervised tokens, their ids, and their weights.

    The first token of a window has nothing before it; its weight is 0 by the rule of the tokens folder, so that
    position - 1 is always in the same window.
    """
    weights = batch.weights_BT.flatten()
    targets_N = weights.nonzero()[:, 0]
    return targets_N, batch.ids_BT.flatten()[targets_N], weights[targets_N]


@cache
def _module_class() -> Any:
    """Made at first use: its base class is torch's, and this file must import without it."""
    from torch import nn

    class Objective(nn.Module):
        def __init__(self, model: "PreTrainedModel", step: _Forward) -> None:
            super().__init__()
            self.model = model
            self._step = step

        def forward(self, batch: TokenBatch, denominator: float) -> Losses:
            return self._step(self.model, batch, denominator)

    return Objective
