"""Does the answer say anything? Counts its words."""

import re

from demiurgic.core.records import Row
from demiurgic.curate.filters import FILTERS, KEEP, Drop, Verdict

# Chinese, Japanese and Korean are written without spaces between words: a character counts as one.
WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+"
)


@FILTERS.register("min_words")
def min_words(row: Row, *, words: int = 3) -> Verdict:
    """Drop rows whose answer has fewer than `words` words."""
    found = len(WORD.findall(row.answer()))
    return KEEP if found >= words else Drop("too few words", f"{found}, wanted at least {words}")
