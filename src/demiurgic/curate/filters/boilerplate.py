"""Is the answer the furniture of a web page or of a file, and no content? Counts phrases that stand around content."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdicts, first_reason
from demiurgic.curate.measured import measured

_PHRASES: Mapping[str, str] = {
    "cookie": (
        r"\b(?:this (?:web)?site|we|our (?:web)?site) uses? cookies|accept (?:all )?cookies|cookie (?:policy|"
        r"settings|preferences|consent)"
    ),
    "subscribe": (r"\bsubscribe (?:to|now|today|for)\b|\bsign up for our\b|\bjoin our (?:newsletter|mailing list)"),
    "newsletter": r"\b(?:weekly|free|monthly|email) newsletter|\bour newsletter",
    "policy": r"\bprivacy policy\b|\bterms (?:of|and) (?:service|use|conditions)\b",
    "rights": r"\ball rights reserved\b|\bcopyright (?:©|\(c\)|\d{4})|©\s*\d{4}",
    "click": r"\bclick here (?:to|for)\b|\bread more\b|\blearn more\s*(?:$|[»>→.!])|\bcontinue reading\b",
    "navigation": (
        r"\bskip to (?:main )?content\b|\bback to top\b|\btoggle navigation\b|\bhome\s*[|>»·/]\s*\w+|\bsite ?map\b|"
        r"\b(?:log|sign) in\s*[|/]\s*(?:sign up|register)"
    ),
    "script": (
        r"\b(?:enable|turn on) javascript\b|\bjavascript is (?:disabled|required)|\byour browser does not support"
    ),
    "error": r"\bpage not found\b|\b404 (?:error|not found)\b|\b403 forbidden\b|\baccess denied\b",
    "follow": (
        r"\b(?:follow|like|find) us on (?:facebook|twitter|instagram|linkedin|social)|\bshare (?:this|"
        r"on) (?:post|article|page|facebook|twitter)"
    ),
    "comment": (r"\bleave a (?:comment|reply)\b|\bpost a comment\b|\brelated (?:posts|articles)\b|\badvertisement\b"),
    "cart": r"\badd to (?:cart|basket|wishlist)\b",
    "above": r"^[^\S\n]*(?:please )?note: (?:the )?(?:above|this (?:text|response|answer|is))",
}
PHRASES = {name: re.compile(pattern, re.MULTILINE) for name, pattern in _PHRASES.items()}
_LOREM = re.compile(r"\blorem ipsum\b")
_LOREM_ASKED = re.compile(r"\blorem\b|\bplaceholder\b|\bdummy text\b|\bfiller text\b|\blatin\b|\bhtml\b|\bweb ?page\b")
_LICENSE = re.compile(
    r"permission is hereby granted|licensed under the|general public license|redistribution and use in source|"
    r"spdx-license-identifier|without warranty of any kind|all rights reserved"
)
_COMMENT = re.compile(r"^\s*(?:#|//|/\*|\*|\*/|--|;|<!--|-->|%|\"\"\"|''')|^\s*$|^\s*```")
_PLACEHOLDER = re.compile(
    r"\[(?:your|insert|enter|company|name|date|recipient|address|add)\b[^\]\n]{0,40}\]", re.IGNORECASE
)
_WEB_ASKED = re.compile(
    r"\b(?:web ?(?:site|page)|landing page|html|footer|banner|call to action|email|e-mail|ad|advert\w*|slogan)\b"
)


@FILTERS.register("boilerplate", over="batch")
def boilerplate(
    rows: RowBatch,
    *,
    min_phrases: Annotated[int, Field(ge=1)] = 2,
    min_share: Annotated[float, Field(ge=0, le=1)] = 0.3,
    placeholders: bool = False,
) -> Verdicts:
    """Drop rows whose answer is cookie banners, menus, filler text or a licence header and little else.

    An answer goes if at least `min_phrases` kinds of such phrases are in it, in at least `min_share` of its lines and
    sentences, and the question did not ask for that. With `placeholders` also where "[Your Name]" was left in.
    """
    import numpy as np

    answers, prompts = rows.answer, rows.prompt
    screened_N = measured(rows).said.of("may be boilerplate") > 0
    reasons: dict[str, dict[int, str]] = {"filler text": {}, "a licence header only": {}, "page furniture": {}}
    reasons["a placeholder left in"] = {}
    for row in np.flatnonzero(screened_N):
        found = _kind_of(
            answers[int(row)].as_py(), prompts[int(row)].as_py().lower(), min_phrases=min_phrases, min_share=min_share
        )
        if found:
            reasons[found[0]][int(row)] = found[1]
        elif placeholders and (left := _PLACEHOLDER.search(answers[int(row)].as_py())):
            reasons["a placeholder left in"][int(row)] = left[0]
    masks = {}
    for reason, said in reasons.items():
        mask_N = np.zeros(len(rows), np.bool_)
        mask_N[list(said)] = True
        masks[reason] = (mask_N, said.__getitem__)
    return first_reason(len(rows), masks)


def _kind_of(answer: str, prompt: str, *, min_phrases: int, min_share: float) -> tuple[str, str] | None:
    """Why an answer is boilerplate, and what shows it."""
    small = answer.lower()
    if _LOREM.search(small) and not _LOREM_ASKED.search(prompt):
        return "filler text", "lorem ipsum"
    if licence := _LICENSE.search(small):
        lines = answer.splitlines()
        if len(lines) >= 3 and all(_COMMENT.match(line) for line in lines):
            return "a licence header only", licence[0]
    if _WEB_ASKED.search(prompt):
        return None
    found = [name for name, phrase in PHRASES.items() if phrase.search(small) and name not in prompt]
    if len(found) < min_phrases:
        return None
    units = [unit for unit in re.split(r"\n|(?<=[.!?])\s", small) if unit.strip()]
    hit = sum(any(PHRASES[name].search(unit) for name in found) for unit in units)
    return ("page furniture", ", ".join(found)) if hit >= min_share * len(units) else None
