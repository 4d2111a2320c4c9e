"""The score of a row in four parts, each from 0 to 1, and their weighted mean. Knows no threshold of acceptance.

Language is judged by question and answer together, the rest by the answer, length by both. N rows.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.measured import Measured, measured
from demiurgic.curate.quality.common_words import COMMON_WORDS, SCRIPTS
from demiurgic.curate.tags.domain import signs_of_code
from demiurgic.text.measures import Form, Words

if TYPE_CHECKING:
    import numpy as np

    Numbers = np.ndarray[Any, np.dtype[np.float64]]
    Mask = np.ndarray[Any, np.dtype[np.bool_]]

PARTS = ("language", "coherence", "length", "complexity")


class Weights(BaseModel):
    """What each part counts in the mean."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: float = Field(0.3, ge=0, allow_inf_nan=False)
    coherence: float = Field(0.3, ge=0, allow_inf_nan=False)
    length: float = Field(0.2, ge=0, allow_inf_nan=False)
    complexity: float = Field(0.2, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _not_all_0(self) -> "Weights":
        if not sum(self.model_dump().values()):
            raise ValueError("all weights are 0; at least one part of the score must count")
        return self


@dataclass(frozen=True)
class Quality:
    """The parts of each row's score, and their mean."""

    total_N: "Numbers"
    language_N: "Numbers"
    coherence_N: "Numbers"
    length_N: "Numbers"
    complexity_N: "Numbers"

    def part(self, name: str) -> "Numbers":
        found: Numbers = getattr(self, f"{name}_N")
        return found


# In prose every other word is a common one; in a technical text names, numbers and signs push them aside.
COMMON_SHARE, TECHNICAL_COMMON_SHARE = 0.25, 0.15
CONFIDENCE, TECHNICAL_CONFIDENCE = 0.5, 0.2
SHORTEST_TOKENS, GOOD_TOKENS, LONG_TOKENS, LONGEST_TOKENS = 4, 150, 2_048, 16_384
BYTES_PER_TOKEN = 4.0
"""Of usual tokenizers, for English as for Chinese: four letters, or one and a third characters of three bytes."""
_UNSURE_WORDS = 4
"""How many words a text is taken to have more, at the threshold: a few words prove nothing."""


def quality_of(rows: RowBatch, *, language: str = "en", weights: Weights | None = None) -> Quality:
    """The score of each row against the target language (ISO 639-1)."""
    weights = weights or Weights()
    found = measured(rows)
    technical_N = is_technical(found)
    parts = {
        "language": language_match(found, language=language, technical_N=technical_N),
        "coherence": coherence(found.said, found.answer, technical_N=technical_N),
        "length": length(_num_bytes(rows) / BYTES_PER_TOKEN),
        "complexity": complexity(found.said, found.answer),
    }
    counts = weights.model_dump()
    total_N = sum(counts[name] * part_N for name, part_N in parts.items()) / sum(counts.values())
    return Quality(total_N, *(parts[name] for name in PARTS))


def is_technical(found: Measured) -> "Mask":
    """Which rows are of code, formulas or figures, in the answer or in what it is asked about."""
    import numpy as np

    technical_N = np.zeros(len(found.said.facts_NF), np.bool_)
    for words, form in ((found.asked, found.question), (found.said, found.answer)):
        solid_N = np.maximum(1, form["characters"] - form["spaces"])
        technical_N |= (signs_of_code(form) > 3) | (form["fences"] > 0) | (form["latex"] > 1)
        technical_N |= (form["digits"] / solid_N > 0.1) & (words["words"] > 0)
    return technical_N


def language_match(found: Measured, *, language: str, technical_N: "Mask") -> "Numbers":
    """How much a row looks like its target language: by script, by common words, and by those of other languages.

    Text within fences does not count, nor does a text without letters: nothing there speaks against it.
    """
    import numpy as np

    letters_N = _sum(found, *_all_scripts())
    script_N = np.minimum(1, 2 * _sum(found, *SCRIPTS[language]) / np.maximum(1, letters_N))
    if language == "ja":
        # Chinese is written in the same characters, and without kana.
        script_N *= np.minimum(1, 10 * _sum(found, "kana") / np.maximum(1, letters_N))
    if language == "zh":
        script_N *= 1 - np.minimum(1, 10 * _sum(found, "kana") / np.maximum(1, letters_N))
    if language in COMMON_WORDS:
        script_N = script_N * _commonness(found, language=language, technical_N=technical_N)
    return np.where(letters_N == 0, 1.0, script_N)


def _commonness(found: Measured, *, language: str, technical_N: "Mask") -> "Numbers":
    import numpy as np

    share = np.where(technical_N, TECHNICAL_COMMON_SHARE, COMMON_SHARE)
    confidence = np.where(technical_N, TECHNICAL_CONFIDENCE, CONFIDENCE)
    own_N = _common(found, language)
    other_N = np.max([_common(found, other) for other in COMMON_WORDS if other != language], axis=0)
    share_N = (own_N + share * _UNSURE_WORDS) / (_sum(found, "words") + _UNSURE_WORDS)
    # Languages share small words ("in", "a"): one is granted to the target.
    confidence_N = (own_N + 1) / (own_N + other_N + 1)
    matched: Numbers = np.minimum(1, share_N / share) * np.minimum(1, confidence_N / confidence)
    return matched


def _common(found: Measured, language: str) -> "Numbers":
    return found.asked.of(f"in {language}") + found.said.of(f"in {language}")


def _sum(found: Measured, *names: str) -> "Numbers":
    total: Numbers = sum(found.asked[name] + found.said[name] for name in names)  # type: ignore[assignment]
    return total


def _all_scripts() -> tuple[str, ...]:
    scripts = ("latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "thai", "han", "kana", "hangul")
    return (*scripts, "other_script")


def coherence(said: Words, answer: Form, *, technical_N: "Mask") -> "Numbers":
    """1 for a text that neither repeats itself nor breaks off; each fault takes its share of what is left.

    An answer without anything in it has none.
    """
    import numpy as np

    factors = [
        _below(said["repeated_trigrams"] / np.maximum(1, said["trigrams"]), np.where(technical_N, 0.45, 0.2), 0.9),
        _below(answer["repeated_lines"] / np.maximum(2, answer["lines"]), np.where(technical_N, 0.4, 0.2), 0.9),
        _variety(said, technical_N),
        1 - 0.7 * np.minimum(1, said["broken"] / 3),
        _wholeness(said, answer, technical_N),
        _sentences(said, technical_N),
        # A mark such as "(A)" is an answer.
        np.where(technical_N, 1.0, _below(answer["signs"] / np.maximum(20, answer["characters"]), 0.2, 0.6)),
        _below(said["longest_word"], 45.0, 400.0),
    ]
    found: Numbers = np.prod(factors, axis=0) * (answer["characters"] > answer["spaces"])
    return found


def _variety(said: Words, technical_N: "Mask") -> "Numbers":
    """Different words against what a text of this many has: they grow as a power of its length (Heaps' law)."""
    import numpy as np

    grown_N = said["distinct"] / np.maximum(1, said["words"]) ** 0.82
    return np.where(said["words"] < 5, 1.0, _above(grown_N, np.where(technical_N, 0.5, 0.8), 0.1))


def _wholeness(said: Words, answer: Form, technical_N: "Mask") -> "Numbers":
    """Brackets and fences closed, and an end that is one."""
    import numpy as np

    solid_N = np.maximum(20, answer["characters"] / 20)
    open_N = 1 - 0.4 * np.minimum(1, (answer["open_brackets"] + answer["wrong_brackets"]) * 10 / solid_N)
    unclosed_N = np.where(answer["fences"] % 2 == 1, 0.6, 1.0)
    # Only a text whose sentences end otherwise breaks off; a list or a name needs no full stop.
    prose_N = (said["words"] >= 25) & (said["ended_sentences"] >= 2) & ~technical_N
    cut_N = (answer["ending"] == 0) & (said["unfinished"] >= 7) & (answer["list_lines"] + answer["numbered_lines"] == 0)
    goes_on_N = (answer["ending"] == 2) & (said["words"] >= 8)
    found: Numbers = open_N * unclosed_N * np.where(prose_N & cut_N | goes_on_N, 0.6, 1.0)
    return found


def _sentences(said: Words, technical_N: "Mask") -> "Numbers":
    """Sentences of a length that people write, in which one speaks of what the one before speaks of."""
    import numpy as np

    # Where each character is a word, a sentence has twice as many.
    per_sentence_N = said["words"] / np.maximum(1, said["sentences"])
    per_sentence_N /= 1 + (said["han"] + said["kana"]) / np.maximum(1, said["words"])
    joined_N = said["joined_sentences"] / np.maximum(1, said["sentences"] - 1)
    apart_N = 0.1 * (joined_N < 0.1) * (said["sentences"] >= 8)
    return np.where(technical_N, 1.0, _below(per_sentence_N, 60.0, 250.0) * (1 - apart_N))


def length(tokens_N: "Numbers") -> "Numbers":
    """0 up to 4 tokens, 1 from 150 to 2,048, 0 from 16,384; between them along the logarithm."""
    import numpy as np

    tokens_N = np.maximum(1, tokens_N)
    rising_N = np.log(tokens_N / SHORTEST_TOKENS) / np.log(GOOD_TOKENS / SHORTEST_TOKENS)
    falling_N = np.log(LONGEST_TOKENS / tokens_N) / np.log(LONGEST_TOKENS / LONG_TOKENS)
    found: Numbers = np.clip(np.minimum(rising_N, falling_N), 0, 1)
    return found


def complexity(said: Words, answer: Form) -> "Numbers":
    """How much there is in the answer: different words, long words, long sentences, and structure."""
    import numpy as np

    words_N = np.maximum(1, said["words"])
    dense_N = np.maximum(0, said["han"] + said["kana"] + said["hangul"]) / words_N
    letters_N = said["letters"] / words_N
    structure_N = answer["list_lines"] + answer["numbered_lines"] + answer["code_lines"] + answer["operators"]
    structure_N += 2 * answer["fences"] + answer["latex"]
    parts = [
        (0.40, np.log1p(said["distinct"]) / np.log1p(120)),
        # A character of Chinese says as much as a middling word.
        (0.20, np.where(dense_N > 0.5, 0.7, (letters_N - 2.5) / 3)),
        (0.15, 4 * said["long_words"] / words_N + 0.7 * dense_N),
        (0.10, words_N / np.maximum(1, said["sentences"]) / 16),
        (0.15, structure_N / 6),
    ]
    found: Numbers = np.sum([weight * np.clip(part, 0, 1) for weight, part in parts], axis=0)
    return found * (answer["characters"] > 0)


def _below(value_N: "Numbers", good: "Numbers | float", bad: float) -> "Numbers":
    """1 up to `good`, 0 from `bad`, straight between them."""
    import numpy as np

    return np.clip((bad - value_N) / (bad - good), 0, 1)


def _above(value_N: "Numbers", good: "Numbers | float", bad: float) -> "Numbers":
    """1 from `good`, 0 up to `bad`, straight between them."""
    import numpy as np

    return np.clip((value_N - bad) / (good - bad), 0, 1)


def _num_bytes(rows: RowBatch) -> "Numbers":
    import pyarrow.compute as pc

    found: Numbers = pc.cast(pc.binary_length(rows.whole), "float64").to_numpy(zero_copy_only=False)
    return found
