"""A teacher that runs beside the student, on the same windows with the same document borders."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demiurgic.models.backbone import head_weight, hidden_states
from demiurgic.train.chunk import Prediction, Workspace
from demiurgic.train.head import Head
from demiurgic.train.signals import TeacherTokens

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class LiveTeacher:
    """A frozen model in eval mode. It is no part of the student's module, so nothing there can set it to train."""

    def __init__(self, model: "PreTrainedModel", *, bf16: bool) -> None:
        self.model = model.eval().requires_grad_(False)
        self._head = Head(head_weight(model), bf16=bf16)

    @property
    def vocab_size(self) -> int:
        return self._head.vocab_size

    def read(self, ids_BT: "Tensor", *, documents_BT: "Tensor", positions_N: "Tensor") -> TeacherTokens:
        """One forward pass without its head."""
        import torch

        with torch.no_grad():
            hidden_BTD = hidden_states(self.model, ids_BT, documents_BT=documents_BT)
            return _LiveTokens(hidden_BTD.flatten(0, 1).index_select(0, positions_N), self._head)


@dataclass(frozen=True)
class _LiveTokens:
    hidden_ND: "Tensor"
    head: Head

    def chunk(self, tokens: slice, workspace: Workspace) -> Prediction:
        return Prediction(self.head.logits(self.hidden_ND[tokens], out_NV=workspace.lend()), workspace)
