"""A teacher that runs beside the student, on the same windows with the same document borders."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from demiurgic.models.head import output_head
from demiurgic.models.layers import layer_states, refuse_missing_layer
from demiurgic.train.batch import SupervisedTokens, TokenBatch
from demiurgic.train.head import Head
from demiurgic.train.signals import Signal, TeacherTokens
from demiurgic.train.signals.states import StateTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LiveTeacher:
    """A frozen model in eval mode. It is no part of the student's module, so nothing there can set it to train."""

    signal: Signal = "live"

    def __init__(
        self, model: "PreTrainedModel", *, bf16: bool, vocab_size: int | None = None, layers: Sequence[int] = ()
    ) -> None:
        """`vocab_size` is the part of its vocabulary that the student shares, all of it by default: its predictions are
        distributions over that. `layers` are those whose hidden states will be asked for beside the final ones.

        Raises UserError for a layer that the model does not have.
        """
        for layer in layers:
            refuse_missing_layer(model, layer)
        self.model = model.eval().requires_grad_(False)
        self.hidden_width: int = model.config.hidden_size
        self._layers = tuple(layers)
        self._head = Head(output_head(model), vocab_size=vocab_size, bf16=bf16)

    def read(self, batch: TokenBatch, tokens: SupervisedTokens) -> TeacherTokens:
        """One forward pass without its head."""
        import torch

        with torch.no_grad():
            states = layer_states(self.model, batch.ids_BT, documents_BT=batch.documents_BT, layers=self._layers)
            said = {
                layer: state_BTD.flatten(0, 1).index_select(0, tokens.positions_N)
                for layer, state_BTD in states.items()
            }
            return StateTokens(said, self._head)
