"""Does the answer decline to answer? Reads how it begins; a polite word before a real answer is no refusal."""

import re
from typing import Annotated

from pydantic import Field

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.measured import measured

_I = r"\b(?:i|we)(?:'m|’m| am|'re|’re| are)?\s+(?:\w+ly\s+|just\s+|also\s+|really\s+)?"
_UNABLE = (
    r"(?:cannot|can\s?not|can(?:'|’)t|could(?:n't|n’t| not)|won(?:'|’)t|will not|(?:un|not )able to|not capable of|"
    r"not programmed to|not allowed to|not permitted to|not comfortable|not going to|must decline|"
    r"have to decline|decline to)"
)
_HELP = (
    r"(?:help(?! but)|assist|answer|provide|fulfil|complete|comply|respond|generate|create|write|produce|engage|"
    r"discuss|share|offer|"
    r"give|support|do that|do this|participate|access (?:to |the |any |your |real|live|current|external|"
    r"personal|web)|browse|look up|search|perform|carry out|continue|recommend|predict|"
    r"have (?:personal|feelings|opinions|emotions)|express|form (?:personal )?opinions|see (?:images|pictures)|"
    r"view|open|draw|"
    r"display|process (?:this|that|your)|make (?:that|this|predictions)|say|tell|talk|promote|encourage|condone|"
    r"in good conscience)"
)
_MACHINE = r"\bas an? (?:\w+[ -]){0,3}(?:ai|artificial intelligence|language model|assistant|chatbot|bot)\b"
_LACKS = (
    r"(?:do not|don(?:'|’)t|does not|doesn(?:'|’)t)\s+(?:actually\s+|currently\s+|"
    r"really\s+)?have\s+(?:\w+\s+){0,3}?(?:access|ability|"
    r"capability|capabilities|personal|feelings|emotions|opinions|beliefs|preferences|experiences?|information|"
    r"enough information|"
    r"real-time|a (?:body|physical))"
)
DECLINES = re.compile(
    rf"{_I}(?:sorry|afraid)?[^.!?\n]{{0,30}}?{_UNABLE}\s+(?:\w+\s+){{0,3}}?{_HELP}|"
    rf"{_MACHINE}[^.!?\n]{{0,80}}?(?:{_UNABLE}|{_LACKS}|not have|don(?:'|’)t|do not|should not|shouldn(?:'|’)t)|"
    rf"\bi(?:'m|’m| am)\s+(?:only |just |merely )?an? (?:\w+[ -]){{0,2}}(?:ai|language model|chatbot|"
    rf"assistant)\b[^.!?\n]{{0,60}}?"
    rf"(?:{_UNABLE}|{_LACKS})|"
    rf"\bi {_LACKS}|"
    r"\b(?:it is|it's|it’s|it would be|that is|that would be|this is)\s+(?:not|in)\s?(?:appropriate|ethical)\b|"
    r"\bi (?:must|have to|need to) (?:respectfully |politely )?decline\b|\bagainst my (?:programming|guidelines|"
    r"polic)|"
    r"\b(?:i(?:'m|’m| am) )?(?:so |very |really )?sorry,? (?:but )?(?:that(?:'s| is) (?:not something|beyond)|"
    r"no\b)",
)
"""A sentence that declines, in small letters."""
_FILLER = re.compile(
    r"^(?:\W*(?:i(?:'m|’m| am) (?:so |very |really )?sorry|sorry|i apologi[sz]e|my apologies|unfortunately|"
    r"please (?:provide|let me know|try|"
    r"consult|contact|feel free|note|ask|seek|refer|check)|if you (?:have|need|are|would|'re|’re)|feel free|"
    r"let me know|is there (?:anything|something)|"
    r"can i help|how (?:can|may|else)|what else|would you like|i(?:'d| would) be happy|i(?:'m| am) happy to|"
    r"i(?:'m| am) here to|i recommend (?:that you |you )?"
    r"(?:consult|speak|contact|seek|reach)|instead|my purpose|i was (?:designed|created|programmed)|i(?:'m|"
    r" am) (?:only |just )?(?:an?|here)|thank you|could you))",
    re.IGNORECASE,
)
"""How a sentence begins that only goes with a refusal."""
_SENTENCE = re.compile(r"[^.!?\n。！？]+[.!?。！？]*")
_BEGINNING, _LOOKED_AT = 600, 4_000
"""Characters in which an answer declines if it does, and in which it says more."""


@FILTERS.register("refusals", over="batch")
def refusals(rows: RowBatch, *, max_words_besides: Annotated[int, Field(ge=0)] = 25) -> Verdicts:
    """Drop rows whose answer declines within its first two sentences, and says hardly anything else.

    `max_words_besides` is how many words may stand beside the refusal and what goes with it (regrets, offers of help):
    an answer that says more gives one after all.
    """
    import numpy as np

    answers = rows.answer
    found: dict[int, str] = {}
    for row in np.flatnonzero(measured(rows).said.of("may decline")):
        sentence = refusal_in(answers[int(row)].as_py(), max_words_besides=max_words_besides)
        if sentence:
            found[int(row)] = sentence[:120]
    declined_N = np.zeros(len(rows), np.bool_)
    declined_N[list(found)] = True
    return first_reason(len(rows), {"the answer declines": (declined_N, found.__getitem__)})


def refusal_in(answer: str, *, max_words_besides: int) -> str | None:
    """The sentence by which an answer declines, None where it gives one."""
    beginning = _sentences(answer[:_BEGINNING])[:2]
    declining = next((sentence for sentence in beginning if DECLINES.search(sentence.lower())), None)
    if declining is None:
        return None
    said = _sentences(answer[:_LOOKED_AT])
    besides = [sentence for sentence in said if not DECLINES.search(sentence.lower()) and not _FILLER.match(sentence)]
    num_words = sum(len(sentence.split()) for sentence in besides) + max(0, len(answer) - _LOOKED_AT)
    return declining if num_words <= max_words_besides else None


def _sentences(text: str) -> list[str]:
    return [said for found in _SENTENCE.finditer(text) if len(said := found[0].strip()) > 1]
