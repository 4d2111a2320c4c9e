"""The student and what it is trained on, as one module: its forward gives the number that is differentiated.

One module, so that whatever wraps it for several devices sees every parameter that gets a gradient.

Shapes: B windows, T tokens of a window, D hidden width, V vocabulary, N supervised tokens, K components.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from demiurgic.models.backbone import hidden_states
from demiurgic.models.head import output_head
from demiurgic.train.batch import TokenBatch
from demiurgic.train.chunk import BUFFER_BYTES, Workspace
from demiurgic.train.components import Component
from demiurgic.train.head_loss import Losses, Supervised, head_losses
from demiurgic.train.signals import TeacherSignal

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedModel


def objective(
    model: "PreTrainedModel",
    *,
    teacher: TeacherSignal | None = None,
    bf16: bool = False,
    buffer_bytes: int = BUFFER_BYTES,
) -> "Module":
    """A module whose `forward(batch, denominator, components)` gives `Losses`.

    `denominator` is the sum of the weights of all supervised tokens of the optimizer step (all micro-batches), so that
    the gradients of micro-batches add up to that of the mean over the step's tokens, however it was cut. `bf16` allows
    bf16 operands for the head where their products come out in fp32.
    """
    module: Module = _module_class()(model, _Forward(teacher, Workspace(), bf16, buffer_bytes))
    return module


@dataclass(frozen=True)
class _Forward:
    teacher: TeacherSignal | None
    workspace: Workspace
    bf16: bool
    buffer_bytes: int

    def __call__(
        self, model: "PreTrainedModel", batch: TokenBatch, denominator: float, components: Sequence[Component]
    ) -> Losses:
        hidden_BTD = hidden_states(model, batch.ids_BT, documents_BT=batch.documents_BT)
        tokens = batch.supervised()
        asked = any(component.active and component.needs_teacher for component in components)
        said = self.teacher.read(batch, tokens) if asked and self.teacher is not None else None
        return head_losses(
            hidden_BTD.flatten(0, 1).index_select(0, tokens.positions_N),
            output_head(model).weight_VD,
            Supervised(tokens.labels_N, tokens.weights_N / denominator, said),
            components=components,
            workspace=self.workspace,
            bf16=self.bf16,
            buffer_bytes=self.buffer_bytes,
        )


@cache
def _module_class() -> Any:
    """Made at first use: its base class is torch's, and this file must import without it."""
    from torch import nn

    class Objective(nn.Module):
        def __init__(self, model: "PreTrainedModel", step: _Forward) -> None:
            super().__init__()
            self.model = model
            self._step = step

        def forward(self, batch: TokenBatch, denominator: float, components: Sequence[Component]) -> Losses:
            return self._step(self.model, batch, denominator, components)

    return Objective
