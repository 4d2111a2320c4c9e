"""Is the row too short or too long for a model? Counts tokens: exactly with a tokenizer, by an estimate without."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from demiurgic.core.artifacts import Tokenizer
from demiurgic.core.errors import UserError
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.text.tokens import estimated_tokens
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerFast

    Counts = np.ndarray[Any, np.dtype[np.int64]]


@FILTERS.register("tokens", over="batch")
def tokens(
    rows: RowBatch,
    *,
    min: Annotated[int, Field(ge=0)] = 150,
    max: Annotated[int, Field(ge=0)] | None = 2_048,
    tokenizer: Tokenizer | None = None,
) -> Verdicts:
    """Drop rows of fewer or more tokens than wanted, all messages together; without `tokenizer` they are estimated.

    What a chat format adds to each message is not counted.
    """
    import numpy as np

    if max is not None and min > max:
        raise UserError(f"tokens: min {min} is above max {max}, so that no row could stay. Swap them.")
    found_N = estimated_tokens(Texts.of(rows.whole)) if tokenizer is None else _counted(rows, tokenizer.path)
    about = "about " if tokenizer is None else ""
    long_N = np.zeros(len(rows), np.bool_) if max is None else found_N > max
    reasons = {
        "too few tokens": (found_N < min, lambda row: f"{about}{found_N[row]}, wanted at least {min}"),
        "too many tokens": (long_N, lambda row: f"{about}{found_N[row]}, wanted at most {max}"),
    }
    return first_reason(len(rows), reasons, scores={"tokens": found_N.astype(np.float64)})


def _counted(rows: RowBatch, folder: Path) -> "Counts":
    import numpy as np

    texts = rows.whole.to_pylist()
    if not texts:
        return np.zeros(0, np.int64)
    # verbose=False: that a text is longer than the model takes is what is asked here.
    encoded = _loaded(folder)(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
    return np.array([len(ids) for ids in encoded["input_ids"]], np.int64)


@cache
def _loaded(folder: Path) -> "PreTrainedTokenizerFast":
    """Read once in each process: an artifact does not change."""
    from demiurgic.models.tokenizer import load_tokenizer

    return load_tokenizer(folder)
