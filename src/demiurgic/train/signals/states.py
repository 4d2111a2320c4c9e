"""A teacher's hidden states of some tokens, with the head that makes predictions of the final ones.

Shapes: N supervised tokens, D hidden width.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.models.layers import FINAL
from demiurgic.train.chunk import Prediction, Workspace
from demiurgic.train.head import Head
from demiurgic.train.signals import TeacherTokens

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class StateTokens:
    states: "Mapping[int, Tensor]"
    """By layer, [N,D]; the final ones are among them."""
    head: Head

    def chunk(self, tokens: slice, workspace: Workspace) -> Prediction:
        return Prediction(self.head.logits(self.states[FINAL][tokens], lend=workspace.lend), workspace)

    def select(self, index_S: "Tensor") -> TeacherTokens:
        return replace(self, states={layer: state_ND[index_S] for layer, state_ND in self.states.items()})

    def hidden(self, layer: int) -> "Tensor":
        if layer not in self.states:
            have = ", ".join(str(known) for known in self.states)
            raise UserError(
                f"A loss asks for the teacher's hidden states after layer {layer}, and those at hand are of layer "
                f"{have}. A cache keeps the final ones (-1) alone: for others, give the teacher itself."
            )
        return self.states[layer]
