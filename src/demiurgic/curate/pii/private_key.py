"""Private keys in PEM (RFC 7468) and PGP armour: what stands between the two lines, or after a first without second."""

import re

from demiurgic.curate.pii.detector import Detector, by_pattern
from demiurgic.curate.pii.draw import ALNUM, MARK, Draw

KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"(?P<value>(?:[^-]|-(?!----))*+(?=-----END )|(?:(?:\\[nr]|[\s\"'+,>#*|]){0,40}+[A-Za-z0-9+/=]{32,}+)*+)",
    re.ASCII,
)
RUN = re.compile(
    r"(?:^|(?<=[\s\"'+,>#*|\\]))(?P<escape>(?:(?<=\\)[nrt])?)(?P<run>[A-Za-z0-9+/]{2,}+={0,2}+)(?!: )", re.ASCII
)
LEAST = 40
"""Characters of a body below which it only shows where a key would stand; the smallest (Ed25519) has 64."""
HEADER_LINE = re.compile(r"^[ \t]*[A-Za-z-]+: [^\n\\]*", re.MULTILINE)


def _runs(body: str) -> list[re.Match[str]]:
    headers = [match.span() for match in HEADER_LINE.finditer(body)]
    runs = RUN.finditer(body)
    return [match for match in runs if not any(start <= match.start() < stop for start, stop in headers)]


def _is_key(match: re.Match[str]) -> bool:
    runs = _runs(match["value"])
    return any(len(run["run"]) >= 24 for run in runs) and sum(len(run["run"]) for run in runs) >= LEAST


def _is_reserved(body: str) -> bool:
    runs = _runs(body)
    return (bool(runs) and any(run["run"].startswith(MARK) for run in runs)) or len(set(body)) < 12


def _surrogate(body: str, draw: Draw) -> str:
    """Lines as long, marked in the first that has room for it."""
    pieces, end, marked = [], 0, False
    for match in _runs(body):
        start, stop = match.span("run")
        drawn = draw.characters(ALNUM, stop - start)
        if not marked and stop - start >= 24:
            drawn, marked = MARK + drawn[len(MARK) :], True
        pieces += [body[end:start], drawn]
        end = stop
    return "".join(pieces) + body[end:]


PRIVATE_KEY = Detector(
    "private_key", "-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY", by_pattern(KEY, _is_key), _is_reserved, _surrogate
)
