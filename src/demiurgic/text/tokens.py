"""How long texts are in tokens where no tokenizer is there yet: an estimate. Knows no tokenizer."""

from typing import TYPE_CHECKING, Any

from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np


def estimated_tokens(texts: Texts) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """About how many tokens a byte-level tokenizer of 32,000 entries or more makes of each text; an empty one has none.

    How far it is off, against tokenizers trained on real rows, stands in docs/curate.md.
    """
    import numpy as np

    from demiurgic.text.kernels.tokens import estimate_tokens

    tokens_N = np.zeros(len(texts), np.int64)
    estimate_tokens(texts.bytes_B, texts.offsets_N1, tokens_N)
    return tokens_N
