"""What can be counted of a text without understanding it, for many texts at once. Judges nothing.

N texts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.text.lexicon import Lexicon
from demiurgic.text.utf8 import Texts

if TYPE_CHECKING:
    import numpy as np

    Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Words:
    """Counts of words and sentences (`kernels/words_and_sentences.py`), and of entries of a lexicon by class."""

    facts_NF: "np.ndarray[Any, np.dtype[np.int32]]"
    counts_NC: "np.ndarray[Any, np.dtype[np.int32]]"
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> "Numbers":
        """A fact of each text, as float64."""
        import numpy as np

        from demiurgic.text.kernels.words_and_sentences import WORD_FACTS

        return self.facts_NF[:, WORD_FACTS.index(name)].astype(np.float64)

    def of(self, name: str) -> "Numbers":
        """How many words and phrases of one class of the lexicon each text has."""
        import numpy as np

        return self.counts_NC[:, self.names.index(name)].astype(np.float64)


@dataclass(frozen=True)
class Form:
    """Counts of what texts look like (`kernels/form.py`)."""

    facts_NF: "np.ndarray[Any, np.dtype[np.int32]]"

    def __getitem__(self, name: str) -> "Numbers":
        import numpy as np

        from demiurgic.text.kernels.form import FORM_FACTS

        return self.facts_NF[:, FORM_FACTS.index(name)].astype(np.float64)


def words_of(texts: Texts, lexicon: Lexicon) -> Words:
    """Count words, sentences and what the lexicon names."""
    import numpy as np

    from demiurgic.text.kernels.words_and_sentences import NUM_FACTS, count_words

    counts_NC = np.zeros((len(texts), len(lexicon.names)), np.int32)
    facts_NF = np.zeros((len(texts), NUM_FACTS), np.int32)
    count_words(texts.bytes_B, texts.offsets_N1, lexicon.keys_S, lexicon.classes_S, counts_NC, facts_NF)
    return Words(facts_NF, counts_NC, lexicon.names)


def form_of(texts: Texts) -> Form:
    """Count lines, brackets, numbers and signs."""
    import numpy as np

    from demiurgic.text.kernels.form import NUM_FACTS, measure_form

    facts_NF = np.zeros((len(texts), NUM_FACTS), np.int32)
    measure_form(texts.bytes_B, texts.offsets_N1, facts_NF)
    return Form(facts_NF)
