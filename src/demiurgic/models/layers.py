"""Hidden states of inner layers, by number. Knows decoders and their blocks, not what is done with the states.

A layer is the final state that the head reads (-1: after the last block and the norm behind it), or the output of a
block: counted from 1, or from the end, where -2 is the last block but one.

Shapes: B windows, T tokens of a window, D hidden width.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.models.backbone import hidden_states

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

FINAL = -1
"""The layer whose states the head reads."""


def layer_states(
    model: "PreTrainedModel", ids_BT: "Tensor", *, documents_BT: "Tensor", layers: Sequence[int]
) -> "dict[int, Tensor]":
    """The hidden states [B,T,D] of some layers, and of the final one in any case; one forward pass.

    Raises UserError for a layer that the model does not have.
    """
    inner = [layer for layer in dict.fromkeys(layers) if layer != FINAL]
    states: dict[int, Tensor] = {}
    with _kept(model, inner, states):
        states[FINAL] = hidden_states(model, ids_BT, documents_BT=documents_BT)
    for layer in inner:
        if layer not in states:
            raise UserError(
                f"The states of layer {layer} could not be read: the blocks of this {model.config.model_type} model "
                "did not report them, as happens with compiled ones. Set compile: false, or use layer -1."
            )
    # flash attention runs all windows as one row
    return {layer: state.reshape(*ids_BT.shape, -1) for layer, state in states.items()}


def block_of(layer: int, *, num_blocks: int) -> int:
    """The position, from 0, of the block whose output is `layer`. Raises UserError when there is none."""
    position = layer - 1 if layer > 0 else num_blocks + layer
    if layer in (0, FINAL) or not 0 <= position < num_blocks:
        raise UserError(
            f"There is no layer {layer} in a model of {num_blocks} blocks; wanted 1 to {num_blocks} (a block's "
            f"output), -2 to {-num_blocks} (the same from the end), or -1 (the final states, which the head reads)."
        )
    return position


def refuse_missing_layer(model: "PreTrainedModel", layer: int) -> None:
    """Raises UserError when the model has no such layer."""
    if layer != FINAL:
        block_of(layer, num_blocks=len(_blocks(model)))


@contextmanager
def _kept(model: "PreTrainedModel", layers: Sequence[int], states: "dict[int, Tensor]") -> Iterator[None]:
    """Within it, what the blocks of these layers give is put into `states`, with its gradient.

    Gradient checkpointing wraps a block's `forward` and leaves its hooks outside, so that what is kept is part of the
    graph, and nothing is kept again when the backward pass computes the block anew.
    """
    blocks = _blocks(model) if layers else []
    with ExitStack() as hooks:
        for layer in layers:

            def keep(block: Any, inputs: Any, output: Any, layer: int = layer) -> None:
                states[layer] = output if not isinstance(output, tuple) else output[0]

            handle = blocks[block_of(layer, num_blocks=len(blocks))].register_forward_hook(keep)
            hooks.callback(handle.remove)
        yield


def _blocks(model: "PreTrainedModel") -> Any:
    decoder: Any = model.get_decoder()
    return decoder.layers
