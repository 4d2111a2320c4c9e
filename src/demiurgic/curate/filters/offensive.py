"""Does the row insult people for what they are? Counts slurs and open hate; talking about such words is no insult."""

import re
from typing import Annotated

from pydantic import Field

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.measured import measured
from demiurgic.curate.screen import SCREENS

_SLURS = frozenset(SCREENS["slurs"])
_WORD = re.compile(r"[^\W\d_]+")
_GROUPS = (
    r"(?:jews?|muslims?|christians|hindus|blacks|whites|asians|africans|arabs|mexicans|latinos|indians|chinese|"
    r"gypsies|gays|"
    r"lesbians|homosexuals|transsexuals|immigrants|migrants|refugees|foreigners|women|"
    r"(?:black|white|brown|gay|trans|transgender|jewish|muslim|asian|arab|disabled|mexican|chinese|"
    r"indian) (?:people|folks|men|women))"
)
_LESS = (
    r"(?:vermin|subhumans?|animals|apes|parasites|cockroaches|scum|inferior|trash|filth|a plague|a disease|"
    r"savages|disgusting|worthless)"
)
HATE = re.compile(
    rf"\b(?:kill|gas|exterminate|lynch|hang|shoot|burn|murder|wipe out|get rid of)(?: off)? (?:all|every|the|"
    rf"those|these)(?: the)?"
    rf" (?:\w+ )?{_GROUPS}\b|"
    rf"\b{_GROUPS} (?:are|is) (?:all |just |only |nothing but |like |basically |truly )*{_LESS}\b|"
    rf"\b{_GROUPS} (?:should|deserve|must|need|ought) (?:all )?(?:to )?(?:all )?(?:die|be (?:killed|"
    rf"exterminated|gassed|lynched|wiped out|shot))\b|"
    rf"\bi (?:\w+ )?hate (?:all |those |these |the |all the )?(?:\w+ing )?{_GROUPS}\b|\bdeath to (?:all |"
    rf"the )*{_GROUPS}\b|"
    r"\bheil hitler\b|\bwhite power\b"
)
"""Open hate against people for what they are, in small letters."""
_ABOUT = re.compile(
    r"\b(?:slurs?|epithets?|derogatory|pejorative|offensive|racist|racism|hate speech|hateful|stereotypes?|"
    r"discriminat\w+|"
    r"prejudice|bigot\w*|etymolog\w+|historical\w*|reclaim\w*|linguist\w*|connotation|novel|quot\w+|nazis?|"
    r"wrong to say)\b"
)
"""Words of those who talk about such words."""
_QUOTES = "\"'“”‘’«»`"


@FILTERS.register("offensive", over="batch")
def offensive(
    rows: RowBatch,
    *,
    max_mentions: Annotated[int, Field(ge=0)] = 3,
    max_share: Annotated[float, Field(ge=0, le=1)] = 0.02,
) -> Verdicts:
    """Drop rows with slurs or open hate against groups of people, in what the user or the assistant says.

    Where they are quoted or talked about (slur, derogatory, hate speech), up to `max_mentions` are let pass, as long as
    they are no more than `max_share` of the words.
    """
    import numpy as np

    found = measured(rows)
    slurs_N = found.asked.of("slurs") + found.said.of("slurs")
    hate_N = found.asked.of("may be hate") + found.said.of("may be hate")
    whole = rows.whole
    said: dict[int, str] = {}
    for row in np.flatnonzero(slurs_N + hate_N):
        mentions = _mentions(whole[int(row)].as_py().lower(), max_mentions=max_mentions, max_share=max_share)
        if mentions:
            said[int(row)] = ", ".join(mentions[:5])
    offends_N = np.zeros(len(rows), np.bool_)
    offends_N[list(said)] = True
    return first_reason(len(rows), {"slurs or hate": (offends_N, said.__getitem__)})


def _mentions(text: str, *, max_mentions: int, max_share: float) -> list[str]:
    """What offends in a text of small letters, hidden but for its beginning; nothing where it is only talked about."""
    words = list(_WORD.finditer(text))
    slurs = [word for word in words if word[0] in _SLURS]
    found = [*slurs, *HATE.finditer(text)]
    if not found:
        return []
    quoted = all(_is_quoted(text, mention) for mention in found)
    spoken_of = quoted or _ABOUT.search(text) is not None
    if spoken_of and len(found) <= max_mentions and len(found) <= max_share * len(words):
        return []
    return [_hidden(mention[0]) for mention in found]


def _is_quoted(text: str, mention: re.Match[str]) -> bool:
    before, after = text[: mention.start()][-1:], text[mention.end() :][:1]
    return bool(before) and before in _QUOTES and bool(after) and (after in _QUOTES or after in ".,")


def _hidden(mention: str) -> str:
    return " ".join(word[0] + "*" * (len(word) - 1) if word in _SLURS else word for word in mention.split())
