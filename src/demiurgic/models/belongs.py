"""Whether tokens, a model and an adapter belong together. Writes nothing.

Ids mean nothing without the vocabulary they index, and an update nothing without the weights it was trained beside.
"""

from pathlib import Path

from demiurgic.core.artifacts import Model
from demiurgic.core.errors import UserError
from demiurgic.models.lora import BaseFacts, read_base
from demiurgic.models.tokenizer import tokenizer_digest
from demiurgic.models.windows import Windows

SHOWN_DIGITS = 16


def refuse_other_tokenizer(windows: Windows, *, folder: Path) -> None:
    """Raises UserError when the windows are not in the own tokens of the model in `folder`."""
    if windows.tokenizer_digest != tokenizer_digest(folder):
        raise UserError(
            f"The tokens in {windows.folder} were made with another tokenizer than that of the model {folder}. "
            "Tokenize the rows with the model's own tokenizer."
        )


def refuse_other_base(adapter: Path, base: Model) -> BaseFacts:
    """What an adapter's folder says of its base. Raises UserError, with both digests, unless that is `base`."""
    facts = read_base(adapter)
    if facts.base_digest != base.digest:
        source = f" ({facts.source})" if facts.source else ""
        raise UserError(
            f"The adapter was trained on the model {facts.base_digest[:SHOWN_DIGITS]}{source}, and base is "
            f"{base.manifest.step}, {base.digest[:SHOWN_DIGITS]}. Set base to the model it was trained on."
        )
    return facts
