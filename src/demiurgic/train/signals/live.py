"""A teacher that runs beside the student, on the same windows with the same document borders."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from demiurgic.models.backbone import hidden_states
from demiurgic.models.head import output_head
from demiurgic.train.batch import SupervisedTokens, TokenBatch
from demiurgic.train.chunk import Prediction, Workspace
from demiurgic.train.head import Head
from demiurgic.train.signals import Signal, TeacherTokens

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class LiveTeacher:
    """A frozen model in eval mode. It is no part of the student's module, so nothing there can set it to train."""

    signal: Signal = "live"

    def __init__(self, model: "PreTrainedModel", *, bf16: bool) -> None:
        self.model = model.eval().requires_grad_(False)
        self._head = Head(output_head(model).weight_VD, bf16=bf16)

    def read(self, batch: TokenBatch, tokens: SupervisedTokens) -> TeacherTokens:
        """One forward pass without its head."""
        import torch

        with torch.no_grad():
            hidden_BTD = hidden_states(self.model, batch.ids_BT, documents_BT=batch.documents_BT)
            return _LiveTokens(hidden_BTD.flatten(0, 1).index_select(0, tokens.positions_N), self._head)


@dataclass(frozen=True)
class _LiveTokens:
    hidden_ND: "Tensor"
    head: Head

    def chunk(self, tokens: slice, workspace: Workspace) -> Prediction:
        return Prediction(self.head.logits(self.hidden_ND[tokens], out_NV=workspace.lend()), workspace)

    def select(self, index_S: "Tensor") -> TeacherTokens:
        return replace(self, hidden_ND=self.hidden_ND[index_S])

    def hidden(self, layer: int) -> "Tensor":
        if layer != -1:
            raise NotImplementedError
        return self.hidden_ND
