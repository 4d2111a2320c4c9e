"""The prose of texts: what is left of them without code, formulas and addresses. N texts."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np

    Numbers = np.ndarray[Any, np.dtype[np.int64]]
    Mask = np.ndarray[Any, np.dtype[np.bool_]]

LONGEST_BYTES = 4096
"""How much prose is taken of a text: more of it does not tell a language better."""


@dataclass(frozen=True)
class Prose:
    """The prose of N texts, how many letters of it and of code each has, and whether its first line is prose."""

    texts: Texts
    letters_N: "Numbers"
    code_letters_N: "Numbers"
    starts_N: "Mask"


def prose_of(texts: Texts, *, longest_bytes: int = LONGEST_BYTES) -> Prose:
    """Take the prose out of texts, up to `longest_bytes` of each."""
    import numpy as np

    from demiurgic.text.kernels.prose import CODE, NUM_FACTS, PROSE, STARTS, take_prose

    prose_B = np.empty(texts.num_bytes + len(texts), np.uint8)
    ends_N1 = np.zeros(len(texts) + 1, np.int64)
    facts_NF = np.zeros((len(texts), NUM_FACTS), np.int64)
    words_KW, weights_K, begins_129 = _keywords()
    take_prose(
        *(texts.bytes_B, texts.offsets_N1, words_KW, weights_K, begins_129),
        *(longest_bytes, prose_B, ends_N1, facts_NF),
    )
    return Prose(Texts(prose_B, ends_N1), facts_NF[:, PROSE], facts_NF[:, CODE], facts_NF[:, STARTS] > 0)


@cache
def _keywords() -> Any:
    from demiurgic.text.kernels.prose import keyword_table

    return keyword_table()
