"""The model to train, made ready: weights or a base with an adapter, attention, and what saves memory or time."""

from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.models.load import context_length
from demiurgic.models.windows import Windows
from demiurgic.train.adapter import AdapterPlan, load_with_adapter, save_adapter
from demiurgic.train.config import TrainConfig
from demiurgic.train.fit import refuse_misfit
from demiurgic.train.weights import put_back

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor
    from transformers import PreTrainedModel


def open_student(
    config: TrainConfig, adapter: AdapterPlan | None, windows: "Sequence[Windows]", *, device: str, seed: int
) -> "PreTrainedModel":
    """The student on its device; `windows` are all that it will read, `seed` is that of an adapter's start.

    Raises UserError when it cannot read them, and for an implementation of attention that is not here.
    """
    from demiurgic.models.attention import use_attention

    model = _read(config, adapter, device=device, seed=seed)
    for found in windows:
        refuse_misfit(model, found, folder=config.model.path)
    length = longest_window(config, model, length=max(found.length for found in windows))
    use_attention(model, config.attention, length=length, precision=config.precision)
    if config.gradient_checkpointing:
        # not reentrant: that one wants inputs with a gradient, which those of a frozen base have not
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    if config.compile:
        for block in model.get_decoder().layers:
            block.compile()
    return model


def longest_window(config: TrainConfig, model: "PreTrainedModel", *, length: int) -> int:
    """Tokens of the longest window of a training on windows of `length`: the student writes on from a prompt there."""
    if config.on_policy is None:
        return length
    return min(context_length(model), length + config.on_policy.max_new_tokens)


def whole_student(
    config: TrainConfig, adapter: AdapterPlan | None, weights: "Mapping[str, Tensor]", *, seed: int
) -> "PreTrainedModel":
    """The student once more, on the CPU, with these trained weights: what shards of it are saved from."""
    model = _read(config, adapter, device="cpu", seed=seed)
    put_back(model, weights)
    return model


def save_student(model: "PreTrainedModel", config: TrainConfig, adapter: AdapterPlan | None, folder: Path) -> None:
    """Write the model's folder, or the adapter's."""
    from demiurgic.models.load import save_model

    if adapter is None:
        save_model(model, config.model.path, folder)
    else:
        save_adapter(model, adapter, folder)


def _read(config: TrainConfig, adapter: AdapterPlan | None, *, device: str, seed: int) -> "PreTrainedModel":
    from demiurgic.models.load import load_model

    if adapter is None:
        return load_model(config.model.path, device=device)
    return load_with_adapter(adapter, precision=config.precision, device=device, seed=seed)
