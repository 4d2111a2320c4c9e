"""Whether what is exported, its base and the tokens to compare on belong together. Writes nothing."""

from typing import TYPE_CHECKING

from demiurgic.core.artifacts import Adapter, Model, Tokens
from demiurgic.core.errors import UserError

if TYPE_CHECKING:
    from demiurgic.models.windows import Windows

SHOWN_DIGITS = 16


def windows_for(model: Model, data: Tokens) -> "Windows":
    """The windows to compare on. Raises UserError when they are not in the model's own tokens."""
    from demiurgic.models.tokenizer import tokenizer_digest
    from demiurgic.models.windows import Windows

    windows = Windows.open(data.path)
    if windows.tokenizer_digest != tokenizer_digest(model.path):
        raise UserError(
            f"The tokens {data.manifest.step} were made with another tokenizer than that of the model "
            f"{model.manifest.step}. Tokenize the rows with the model's own."
        )
    return windows


def refuse_other_base(adapter: Adapter, base: Model) -> None:
    """Raises UserError unless `base` is what the adapter was trained on, in a precision that a file of it can have."""
    from demiurgic.models.lora import read_base

    known = read_base(adapter.path)
    if known.base_digest != base.digest:
        raise UserError(
            f"The adapter {adapter.manifest.step} was trained on the model {known.base_digest[:SHOWN_DIGITS]}"
            f"{f' ({known.source})' if known.source else ''}, and base is {base.manifest.step}, "
            f"{base.digest[:SHOWN_DIGITS]}. Set base to the model it was trained on."
        )
    if known.precision == "nf4":
        raise UserError(
            f"The adapter {adapter.manifest.step} was trained on its base in 4 bits (nf4), and fits no GGUF of the "
            "base as it is. Merge it (stage merge, onto: dequantized) and export the merged model."
        )
