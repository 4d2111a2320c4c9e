"""Which domain a row belongs to: cues counted in what is asked and answered, and the form of both. Knows no data set.

N rows, D domains in the order of `DOMAINS`, M messages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.measured import Measured, asked_of, measured
from demiurgic.curate.tags.cues import DOMAINS, telling
from demiurgic.text.measures import Form, Words

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

    Numbers = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Weight:
    """What the logarithm of the number of cues counts: in the question, in the answer, and of telling ones there."""

    asked: float
    said: float
    telling: float


# Set on the even rows of labelled public sets, to one decimal: the odd ones measure (tests/curate/tags).
WEIGHTS: Mapping[str, Weight] = {
    "code": Weight(1.2, 0.3, 1.2),
    "reasoning": Weight(0.9, 0.2, 1.6),
    "mathematics": Weight(0.8, 0.4, 1.5),
    "science": Weight(1.0, 0.4, 1.0),
    "conversation": Weight(0.5, 0.2, 0.3),
    "creative": Weight(1.0, 0.3, 1.8),
    "tools": Weight(1.0, 0.3, 2.5),
}

ROLE = (
    r"(?i)^\W*(?:you are|you're|you’re|imagine|pretend|act as|acting as|as (?:an?|the|if)\b|assume|"
    r"take (?:on )?the role|role.?play|put yourself|suppose you are|in the (?:voice|role|style)|"
    r"(?:write|compose|create|tell|describe|generate) an? (?:\w+ )?"
    r"(?:story|tale|poem|haiku|song|scene|dialogue|monologue|letter|speech|character|creature|world))"
)
"""How one begins who asks for a part to be played or for something to be made up."""


@dataclass(frozen=True)
class Domains:
    """`domains_N` are places in `DOMAINS`.

    `confidence_N` is the share of the chosen one among all (the softmax of the scores): 1 / D to 1.
    """

    domains_N: "np.ndarray[Any, np.dtype[np.int64]]"
    confidence_N: "Numbers"
    scores_ND: "Numbers"

    def labels(self) -> "pyarrow.StringArray":
        import pyarrow as pa

        return pa.array(DOMAINS, pa.string()).take(pa.array(self.domains_N))


def domains_of(rows: RowBatch) -> Domains:
    """The domain of each row, by the highest score; of equal scores the first in order."""
    import numpy as np

    scores_ND = _scores(rows)
    weights_ND = np.exp(scores_ND - scores_ND.max(axis=1, keepdims=True))
    return Domains(scores_ND.argmax(axis=1), weights_ND.max(axis=1) / weights_ND.sum(axis=1), scores_ND)


def _scores(rows: RowBatch) -> "Numbers":
    import numpy as np
    import pyarrow.compute as pc

    found = measured(rows)
    scores_ND = np.zeros((len(rows), len(DOMAINS)))
    for place, domain in enumerate(DOMAINS):
        scores_ND[:, place] = _by_cues(found.asked, found.said, domain)
    more = _by_form(found) | _by_talk(rows, found)
    more["creative"] = 2.2 * pc.match_substring_regex(asked_of(rows), ROLE).to_numpy(zero_copy_only=False)
    for domain, more_N in more.items():
        scores_ND[:, DOMAINS.index(domain)] += more_N
    return scores_ND


def _by_cues(asked: Words, said: Words, domain: str) -> "Numbers":
    import numpy as np

    weight = WEIGHTS[domain]
    scores: Numbers = weight.asked * np.log1p(asked.of(domain)) + weight.said * np.log1p(said.of(domain))
    return scores + weight.telling * np.log1p(asked.of(telling(domain)))


def _by_form(found: Measured) -> "dict[str, Numbers]":
    import numpy as np

    asked, question, answer = found.asked, found.question, found.answer
    signs_N = signs_of_code(answer) * (found.said["words"] > 0)
    choices_N = question["options"] >= 2
    # A choice of answers to a question of knowledge: an exam in a science.
    exam_N = choices_N & (asked.of(telling("science")) > 0) & (asked.of("science") > 0)
    numbers_N = np.clip(question["numbers"] - question["options"], 0, 8)
    told_N = (question["questions"] > 0) & (asked.of(telling("mathematics")) > 0)
    reckoned_N = np.log1p(answer["operators"]) * (signs_N < 9)
    return {
        "code": 0.35 * np.minimum(signs_N, 8) + 1.5 * (answer["fences"] > 0) + 0.5 * (question["code_lines"] > 0),
        "mathematics": 0.9 * np.log1p(numbers_N) * told_N + 1.2 * reckoned_N + 0.8 * (answer["latex"] > 2)
        - 0.2 * choices_N - 1.8 * exam_N,
        "science": 1.5 * exam_N - 0.6 * (numbers_N > 1),
        "reasoning": 1.6 * choices_N - 1.1 * exam_N,
    }  # fmt: skip


def signs_of_code(form: Form) -> "Numbers":
    """Signs that code has and prose has not, per 100 characters; those of reckoning (`3 * 4 = 12`) do not count."""
    import numpy as np

    signs_N = np.maximum(form["code_signs"] - 2 * form["operators"], 0)
    signs_N += 3 * form["code_lines"] + 2 * form["indented_lines"]
    found: Numbers = 100 * signs_N / np.maximum(60, form["characters"])
    return found


def _by_talk(rows: RowBatch, found: Measured) -> "dict[str, Numbers]":
    import numpy as np

    question, answer = found.question, found.answer
    offered_N = rows.column("tools").is_valid().to_numpy(zero_copy_only=False)
    called_N = (answer["quoted_calls"] > 0) & (question["calls"] > 0) & (signs_of_code(answer) < 12)
    uses_N = offered_N | (_num_turns(rows, "tool") > 0)
    return {
        "conversation": 0.8 + 1.6 * np.log1p(np.maximum(_num_turns(rows, "user") - 1, 0)),
        "tools": 10.0 * uses_N + 1.0 * called_N,
    }


def _num_turns(rows: RowBatch, role: str) -> "Numbers":
    import numpy as np
    import pyarrow.compute as pc

    is_role_M = pc.equal(rows.turns.roles_M, role).to_numpy(zero_copy_only=False)
    before_M1 = np.concatenate(([0], np.cumsum(is_role_M)))
    counts: Numbers = np.diff(before_M1[rows.turns.starts_N1]).astype(np.float64)
    return counts
