"""E-mail addresses. The last label must be a domain that exists: `layer@weights.shape` is arithmetic."""

import re
from collections.abc import Iterator

from demiurgic.curate.pii.detector import Detector, Place
from demiurgic.curate.pii.domains import RESERVED_DOMAINS, TOP_LEVEL
from demiurgic.curate.pii.draw import Draw

LETTERS = r"A-Za-z0-9À-ɏ"
# The letter of an escape (\n in JSON) belongs to what stands before.
LOCAL = rf"(?:(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{{4}})|(?<![{LETTERS}_.+\-])(?!(?<=\\)[nrtbfu]))"
ADDRESS = re.compile(
    rf"{LOCAL}(?P<local>[{LETTERS}_.+\-]{{1,64}}+)(?P<at>@|%40)(?=(?P<domain>[{LETTERS}][{LETTERS}.\-]{{2,252}}+))"
)
ROLES = ("git", "noreply", "no-reply", "donotreply", "do-not-reply")
"""Names that no person has."""
FIRST = ("alex", "sam", "robin", "kim", "noa", "jules", "toni", "sasha", "mika", "andrea", "chris", "dana", "eli", "jo")
LAST = ("reed", "stone", "brook", "field", "marsh", "hill", "wood", "lake", "moor", "dale", "ford", "glen", "heath")


def _find(text: str) -> Iterator[Place]:
    for match in ADDRESS.finditer(text):
        start = match.start() + len(match["local"]) - len(match["local"].lstrip(".+-"))
        domain = _domain(match["domain"])
        stop = match.end() + len(domain)
        if not domain or start == match.start("at") or text[stop : stop + 1] == "(":
            continue
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
