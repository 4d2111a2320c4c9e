"""Whether what is exported, its base and the tokens to compare on belong together. Writes nothing."""

from typing import TYPE_CHECKING

from demiurgic.core.artifacts import Adapter, Model, Tokens
from demiurgic.core.errors import UserError

if TYPE_CHECKING:
    from demiurgic.models.windows import Windows


def windows_for(model: Model, data: Tokens) -> "Windows":
    """The windows to compare on. Raises UserError when they are not in the model's own tokens."""
    from demiurgic.models.belongs import refuse_other_tokenizer
    from demiurgic.models.windows import Windows

    windows = Windows.open(data.path)
    refuse_other_tokenizer(windows, folder=model.path)
    return windows


def refuse_quantized_base(adapter: Adapter, *, base: Model) -> None:
    """Raises UserError unless `base` is what the adapter was trained on, in a precision that a file of it can have."""
    from demiurgic.models.belongs import refuse_other_base

    if refuse_other_base(adapter.path, base).precision == "nf4":
        raise UserError(
            f"The adapter {adapter.manifest.step} was trained on its base in 4 bits (nf4), and fits no GGUF of the "
            "base as it is. Merge it (stage merge, onto: dequantized) and export the merged model."
        )
