"""What is counted in a row's question and answer, once for all filters that judge by it. Judges nothing.

N rows, F numbers of each.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.quality.common_words import COMMON_WORDS
from demiurgic.curate.screen import SCREENS
from demiurgic.curate.tags.cues import DOMAINS, cues_of, telling, telling_of
from demiurgic.text.lexicon import Lexicon
from demiurgic.text.measures import Form, Words, form_of, words_of
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Counts = np.ndarray[Any, np.dtype[np.int32]]

STEPS = "steps"
_STEPS = (
    *(
        "first",
        "firstly",
        "second",
        "secondly",
        "third",
        "thirdly",
        "next",
        "then",
        "finally",
        "lastly",
        "step",
        "steps",
    ),
    *(
        "because",
        "since",
        "therefore",
        "thus",
        "hence",
        "so",
        "consequently",
        "follows",
        "implies",
        "suppose",
        "assume",
    ),
    *("given", "if", "otherwise", "unless", "must", "however", "although", "whereas", "instead", "let", "note"),
)
"""Words by which one thought follows from another."""


@cache
def lexicon() -> Lexicon:
    """Small words of languages, cues of domains, words between steps, what rules look for: one table, one pass."""
    by_language = {f"in {language}": words for language, words in COMMON_WORDS.items()}
    by_domain = {domain: cues_of(domain) for domain in DOMAINS}
    outright = {telling(domain): telling_of(domain) for domain in DOMAINS}
    return Lexicon.of({**by_language, STEPS: _STEPS, **by_domain, **outright, **SCREENS})


@dataclass(frozen=True)
class Measured:
    """Words and form of what the user asks, and of the answer (or of a plain text)."""

    asked: Words
    said: Words
    question: Form
    answer: Form


def measured(rows: RowBatch) -> Measured:
    """The counts of rows; made once for a batch and kept beside it."""
    import numpy as np

    from demiurgic.text.kernels import form, words_and_sentences

    counts_NF = rows.kept_beside("measured", _measure)
    num_classes = len(lexicon().names)
    widths = [words_and_sentences.NUM_FACTS, num_classes, form.NUM_FACTS]
    cuts = np.cumsum([*widths, *widths])[:-1]
    parts = np.split(counts_NF, cuts, axis=1)
    asked = Words(parts[0], parts[1], lexicon().names)
    said = Words(parts[3], parts[4], lexicon().names)
    return Measured(asked, said, Form(parts[2]), Form(parts[5]))


def asked_of(rows: RowBatch) -> "pyarrow.StringArray":
    """What the user says in each row: a system's words are those of every row of a set, and say nothing of one."""
    import pyarrow.compute as pc

    return rows.turns.joined(pc.equal(rows.turns.roles_M, "user").to_numpy(zero_copy_only=False))


def _measure(rows: RowBatch) -> "Counts":
    import numpy as np

    counts = []
    for column in (Texts.of(asked_of(rows)), Texts.of(rows.answer)):
        words = words_of(column, lexicon())
        counts += [words.facts_NF, words.counts_NC, form_of(column).facts_NF]
    return np.concatenate(counts, axis=1)
