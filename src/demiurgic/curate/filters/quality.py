"""Is the row good enough? Asks the score in four parts, and names the part that is too low."""

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.quality.score import PARTS, Quality, Weights, quality_of

Language = Literal[
    "ar", "bg", "de", "el", "en", "es", "fa", "fr", "he", "hi", "id", "it", "ja", "ko", "nl", "pl", "pt", "ru", "sv",
    "th", "tr", "uk", "vi", "zh",
]  # fmt: skip
"""The languages whose common words or script are known, as ISO 639-1 names them."""
USUAL = Weights()
Bound = Annotated[float, Field(ge=0, le=1)]


@FILTERS.register("quality", over="batch")
def quality(
    rows: RowBatch,
    *,
    language: Language = "en",
    min: Bound = 0.5,
    min_language: Bound = 0.1,
    min_coherence: Bound = 0.3,
    min_length: Bound = 0.0,
    min_complexity: Bound = 0.0,
    weights: Weights = USUAL,
) -> Verdicts:
    """Score language, coherence, length and complexity from 0 to 1; drop rows below a bound, of a part or in all."""
    found = quality_of(rows, language=language, weights=weights)
    bounds = dict(zip(PARTS, (min_language, min_coherence, min_length, min_complexity), strict=True))
    reasons = {
        f"{part} too low": (found.part(part) < bound, _said(found, part, bound)) for part, bound in bounds.items()
    }
    reasons["too low in all"] = (found.total_N < min, _said(found, "total", min))
    scores = {f"quality.{part}": found.part(part) for part in PARTS}
    return first_reason(len(rows), reasons, scores={"quality": found.total_N, **scores})


def _said(found: Quality, part: str, bound: float) -> Callable[[int], str]:
    def said(row: int) -> str:
        parts = ", ".join(f"{name} {found.part(name)[row]:.2f}" for name in PARTS)
        return f"{found.part(part)[row]:.2f}, wanted at least {bound:g} ({parts})"

    return said
