"""Does the answer say anything? Counts its words."""

import re
from typing import Annotated

from pydantic import Field

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.answers import answers_of
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason

# Chinese, Japanese and Korean are written without spaces between words: a character counts as one.
WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+"
)
SCREENED = 200
"""RE2 repeats an expression at most a thousand times, and grows with each."""


@FILTERS.register("min_words", over="batch")
def min_words(rows: RowBatch, *, words: Annotated[int, Field(ge=0)] = 3) -> Verdicts:
    """Drop rows whose answer has fewer than `words` words."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    answers = answers_of(rows)
    doubtful_N = np.ones(len(rows), np.bool_)
    if 0 < words <= SCREENED:
        # So many words in plain ASCII are words by any count, and most answers have them in their first line.
        enough = r"(?:\b[0-9A-Za-z_]+[\x00-/:-@\[-\^`\{-\x7f]+)" + f"{{{words}}}"
        doubtful_N = ~pc.match_substring_regex(answers, enough).to_numpy(zero_copy_only=False)
    found = {}
    doubtful = answers.filter(pa.array(doubtful_N)).to_pylist()
    for row, answer in zip(np.flatnonzero(doubtful_N).tolist(), doubtful, strict=True):
        number = len(WORD.findall(answer))
        if number < words:
            found[row] = number
    few_N = np.zeros(len(rows), np.bool_)
    few_N[list(found)] = True
    return first_reason(len(rows), {"too few words": (few_N, lambda row: f"{found[row]}, wanted at least {words}")})
