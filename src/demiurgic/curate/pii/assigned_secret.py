"""Secrets known by the name they are given: `api_key = "..."`, `"password": "..."`, `Authorization: Bearer ...`."""

import re
from collections.abc import Iterator

from demiurgic.curate.pii.detector import Detector, Place
from demiurgic.curate.pii.draw import ALNUM, HEX, Draw, made_up
from demiurgic.curate.pii.strength import is_placeholder, is_random, is_worded

ASSIGNED = re.compile(
    r"(?P<name>key|secret|token|passw(?:or)?d|passphrase|pwd|credential|auth)[\w\-]{0,24}+\\?[\"'`\]]{0,2}"
    r"[ \t]{0,4}(?::=|=>|==?|:)[ \t]{0,4}(?:\\?[\"'`]|&quot;)?"
    # An & belongs to it unless the next field of a query or the name of a character (&quot;) begins there.
    r"(?P<value>(?:[^\s\"'`,;<>(){}\[\]\\&]|&(?!\w{1,32}[=;])){8,256}+)(?P<after>.?)",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
BEARER = re.compile(
    r"\b(?:Bearer|Basic|Token)[ \t]+(?P<value>[A-Za-z0-9._~+/\-]{16,1024}+={0,2})", re.IGNORECASE | re.ASCII
)
PASSWORDS = ("pass", "pwd")
LITERAL = re.compile(r"[A-Za-z0-9._~+/\-]+={0,2}", re.ASCII)
SCREEN = (
    r"(?i:key|secret|token|passw|passp|pwd|credential|auth)[\w-]{0,24}\\?[\x22\x27`\]]{0,2}[ \t]{0,4}[:=]"
    r"|(?i:bearer|basic|token)[ \t]+[\w.~+/-]{16}"
)


def _find(text: str) -> Iterator[Place]:
    for match in ASSIGNED.finditer(text):
        value = match["value"].rstrip(".:!?")
        # Before a bracket it is a call or an index, not a value.
        if match["after"] not in ("(", "[", "{") and _is_secret(value, name=match["name"].lower()):
            start = match.start("value")
            yield Place(start, start + len(value), match.start(), start + len(value))
    for match in BEARER.finditer(text):
        if is_random(match["value"].rstrip(".")):
            start = match.start("value")
            stop = start + len(match["value"].rstrip("."))
            yield Place(start, stop, match.start(), stop)


def _is_secret(value: str, *, name: str) -> bool:
    if LITERAL.fullmatch(value) and is_random(value):
        return True
    return name.startswith(PASSWORDS) and _is_password(value)


def _is_password(value: str) -> bool:
    """Of lower case, upper case, digits and other signs at least three, and no word that stands for a password."""
    if len(value) > 64 or is_worded(value) or re.search(r"pass|secret|admin|qwerty|test|1234", value, re.IGNORECASE):
        return False
    if re.fullmatch(r"[\w.]+", value, re.ASCII) and not re.search(r"\d", value, re.ASCII):
        return False
    tests = (str.islower, str.isupper, str.isdigit, lambda character: not character.isalnum())
    return sum(any(map(test, value)) for test in tests) >= 3


def _surrogate(value: str, draw: Draw) -> str:
    alphabet = HEX if set(value) <= set(HEX) and len(value) >= 16 else ALNUM
    return made_up(value, draw, alphabet=alphabet)


ASSIGNED_SECRET = Detector("assigned_secret", SCREEN, _find, is_placeholder, _surrogate)
