"""What two texts are compared by: the set of their n-grams of words or characters, each a hash of 64 bits.

Knows nothing of similarity. The words themselves: `kernels/words.py`.
"""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["word", "character"]


@dataclass(frozen=True)
class Shingling:
    """Which n-grams a text is taken apart into.

    `word`: lower-cased runs of letters, marks, digits and `_`; each character of a script that is written without
    spaces (Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese) is a word of its own. `character`: code points,
    lower-cased, with each run of white space as one space and none at the ends. A text shorter than `n` is one n-gram;
    one without words has none and is similar to nothing.

    n-grams that stand in more than `common_above` documents (of this run and known ones together) do not count, on
    either side; a document of which nothing is left keeps them all.
    """

    unit: Unit = "word"
    n: int = 3
    common_above: int | None = None
