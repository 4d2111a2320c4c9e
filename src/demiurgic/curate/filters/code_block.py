"""Does an answer that should hold code hold any? Reads what is asked for, and not whether the code is right."""

import re

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.measured import measured
from demiurgic.curate.tags.cues import telling
from demiurgic.curate.tags.domain import signs_of_code

_ASKS = re.compile(
    r"\b(?:write|implement|develop|code|program|refactor|rewrite|create|build|construct|generate|produce|give me|"
    r"provide|show me|edit|modify|convert|translate|optimi[sz]e|complete)\b[^.?!\n]{0,60}?"
    r"\b(?:functions?|programs?|scripts?|code|class|methods?|(?:sql |mysql )?quer(?:y|ies)|snippets?|"
    r"subroutine|one-?liner|decorator|stored procedure|unit tests?|macro)\b"
)
"""Asks for code to be written; this and the others are in small letters."""
_TALKS = re.compile(
    r"\b(?:explain|describe|what|why|how (?:do|does|to|would|can|should)|determine|classify|detect|debug|fix|"
    r"read the|answer the|summari[sz]e|compare|difference|output of|pseudo-?code|in words|without code|"
    r"comment|code of (?:conduct|ethics)|dress code|zip code|promo|discount code|write down|list|review|"
    r"name for|identify|"
    r"suggest|tv|training program|exercise|customer|loyalty|marketing|school|class (?:on|about|schedule)|"
    r"yes or no|scene|movie|film|phone call|actors?|search engine|dialogues?|"
    r"monologue|drama|rap|commercial|sales|conversation|argument|morse|compile time error|comed\w+|characters|"
    r"stage)\b"
)
"""Asks to be told about code, or about what only shares a word with it."""
_BEGINS = re.compile(
    r"\s*(?:select|insert|update|delete|create|alter|with|drop|import|from|def|class|print|console|const|let|"
    r"var|return|"
    r"#include|#!|public|private|function|for|while|if|echo|git|sudo|ls|cd|cat|npm|pip|curl|grep|find|awk|sed|"
    r"chmod|docker|mkdir|rm|cp|mv|puts|func|fn|"
    r"#|//|lambda|\w+ ::|\w+\s*=|\w+(?:\.\w+)*\(|<|\$|/|\^|@|\[|\{|\(|\\)"
)
"""How a line of code begins."""
_INLINE = re.compile(r"`[^`\n]{3,}`")


@FILTERS.register("code_block", over="batch")
def code_block(rows: RowBatch, *, fence: bool = False) -> Verdicts:
    """Drop rows that ask for code and get none: no fenced block, and nothing that is code itself.

    With `fence` only a fenced block will do. Answers that call tools stay, as do plain texts.
    """
    import numpy as np

    found = measured(rows)
    # One word may mean anything: a script for a scene, the function of the heart.
    asked_N = (found.asked.of(telling("code")) > 0) | (found.asked.of("code") > 1)
    asked_N &= (found.answer["fences"] == 0) & (found.answer["characters"] > 0) & ~rows.is_text_N
    if not fence:
        asked_N &= signs_of_code(found.answer) < 3
    questions, answers = rows.question, rows.answer
    lacking: dict[int, str] = {}
    for row in np.flatnonzero(asked_N):
        question, answer = questions[int(row)].as_py(), answers[int(row)].as_py()
        if asks_for_code(question) and (fence or not _is_code(answer)):
            lacking[int(row)] = answer[:80]
    lacking_N = np.zeros(len(rows), np.bool_)
    lacking_N[list(lacking)] = True
    return first_reason(len(rows), {"no code where code is asked for": (lacking_N, lacking.__getitem__)})


def asks_for_code(question: str) -> bool:
    beginning = question[:400].lower()
    return _ASKS.search(beginning) is not None and _TALKS.search(beginning) is None


def _is_code(answer: str) -> bool:
    """A line of code, code within a line, or a text with code somewhere in it."""
    lines = [line for line in answer.splitlines() if line.strip()]
    begins = sum(_BEGINS.match(line.lower()) is not None and not line.rstrip().endswith((".", "?")) for line in lines)
    return begins * 3 >= len(lines) or _INLINE.search(answer) is not None
