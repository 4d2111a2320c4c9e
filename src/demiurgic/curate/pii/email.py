"""E-mail addresses. The last label must be a domain that exists: `layer@weights.shape` is arithmetic."""

import re
from collections.abc import Iterator

from demiurgic.curate.pii.detector import Detector, Place
from demiurgic.curate.pii.domains import RESERVED_DOMAINS, TOP_LEVEL
from demiurgic.curate.pii.draw import Draw

LETTERS = r"A-Za-z0-9À-ɏ"
# The letter of an escape (\n in JSON) belongs to what stands before.
LOCAL = rf"(?:(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{{4}})|(?<![{LETTERS}_.+\-])(?!(?<=\\)[nrtbfu]))"
LONGEST_LOCAL = 64
AT = re.compile("@|%40")
NAME = re.compile(rf"{LOCAL}(?P<local>[{LETTERS}_.+\-]{{1,{LONGEST_LOCAL}}}+)(?P<at>@|%40)")
LABELS = re.compile(rf"[{LETTERS}][{LETTERS}.\-]{{2,252}}+")
ROLES = ("git", "noreply", "no-reply", "donotreply", "do-not-reply")
"""Names that no person has."""
FIRST = ("alex", "sam", "robin", "kim", "noa", "jules", "toni", "sasha", "mika", "andrea", "chris", "dana", "eli", "jo")
LAST = ("reed", "stone", "brook", "field", "marsh", "hill", "wood", "lake", "moor", "dale", "ford", "glen", "heath")


def _find(text: str) -> Iterator[Place]:
    last = 0
    for at in AT.finditer(text):
        # Only what stands before an @ is looked at, and no character twice.
        name = NAME.search(text, max(last, at.start() - LONGEST_LOCAL), at.end())
        last = at.end()
        labels = LABELS.match(text, at.end())
        if name is None or labels is None:
            continue
        start = name.start() + len(name["local"]) - len(name["local"].lstrip(".+-"))
        domain = _domain(labels[0])
        stop = at.end() + len(domain)
        if domain and start < at.start() and text[stop : stop + 1] != "(":
            yield Place(start, stop, start, stop)


def _domain(run: str) -> str:
    """The longest beginning of a run of labels that ends in a top-level domain; empty where there is none."""
    labels = run.split(".")
    while len(labels) > 1 and labels[-1].rstrip("-").lower() not in TOP_LEVEL:
        labels.pop()
    if len(labels) < 2 or not all(labels):
        return ""
    return ".".join([*labels[:-1], labels[-1].rstrip("-")])


def _parts(address: str) -> tuple[str, str, str]:
    at = "@" if "@" in address else "%40"
    local, _, domain = address.partition(at)
    return local, at, domain


def is_reserved(address: str) -> bool:
    """At a domain that is nobody's (RFC 2606, RFC 6761), or of no person (git@, noreply@)."""
    local, _, domain = _parts(address.lower())
    return local in ROLES or any(domain == name or domain.endswith(f".{name}") for name in RESERVED_DOMAINS)


def _surrogate(address: str, draw: Draw) -> str:
    first, last = FIRST[draw.number(len(FIRST))], LAST[draw.number(len(LAST))]
    return f"{first}.{last}{draw.number(1000)}{_parts(address)[1]}example.com"


def _canonical(address: str) -> str:
    return "@".join(_parts(address.lower())[::2])


EMAIL = Detector("email", "@|%40", _find, is_reserved, _surrogate, _canonical)
