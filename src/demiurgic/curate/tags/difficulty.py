"""How hard a row is, from 0 to 1, by what its answer takes: steps, length, rare words, depth. Knows no subject.

N rows. More of any of the four, with the rest as it is, never makes a row easier.
"""

from typing import TYPE_CHECKING, Any

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.measured import STEPS, Measured, measured

if TYPE_CHECKING:
    import numpy as np

    Numbers = np.ndarray[Any, np.dtype[np.float64]]

SHARES = {"steps": 0.35, "length": 0.3, "vocabulary": 0.2, "depth": 0.15}
# What counts as full. A sixth of it already counts half (a logarithm), so that the usual range is told apart best.
MANY_STEPS, MANY_WORDS, MANY_RARE, DEEP = 40.0, 800.0, 60.0, 24.0


def difficulty_of(rows: RowBatch) -> "Numbers":
    """The score of each row: a weighted sum of four logarithms, each from 0 to 1."""
    found = measured(rows)
    parts = {"steps": _steps(found), "length": _length(found), "vocabulary": _rare(found), "depth": _depth(found)}
    full = {"steps": MANY_STEPS, "length": MANY_WORDS, "vocabulary": MANY_RARE, "depth": DEEP}
    total: Numbers = sum(share * _logarithm(parts[name], full[name]) for name, share in SHARES.items())  # type: ignore[assignment]
    return total


def _steps(found: Measured) -> "Numbers":
    """Words that lead from one thought to the next, numbered lines, reckonings, lines of code."""
    answer = found.answer
    return found.said.of(STEPS) + 2 * answer["numbered_lines"] + answer["operators"] + answer["code_lines"]


def _length(found: Measured) -> "Numbers":
    """Words and numbers of the answer with what stands in fences (as five bytes a word), a quarter of the question."""
    return (
        found.said["words"]
        + found.said["fenced_bytes"] / 5
        + found.answer["numbers"]
        + 0.25 * (found.asked["words"] + found.question["numbers"])
    )


def _rare(found: Measured) -> "Numbers":
    """Long words that are neither common nor a cue of a domain, and half of other long ones."""
    return found.said["unknown_long"] + 0.5 * found.said["long_words"] + 0.5 * found.asked["unknown_long"]


def _depth(found: Measured) -> "Numbers":
    """Brackets within brackets, indentation, formulas and choices."""
    answer = found.answer
    return 2 * answer["deepest_bracket"] + answer["deepest_indent"] / 2 + answer["latex"] + found.question["options"]


def _logarithm(value_N: "Numbers", full: float) -> "Numbers":
    """0 for 0, 1 from `full` on, along log(1 + 24 x) between them."""
    import numpy as np

    part: Numbers = np.minimum(1, np.log1p(24 * value_N / full) / np.log(25))
    return part
