"""JSON Web Tokens (RFC 7519): three parts of base64url, the first of which is a JSON object that names an algorithm."""

import base64
import json
import re

from demiurgic.curate.pii.detector import Detector, begins, by_pattern
from demiurgic.curate.pii.draw import ALNUM, Draw, is_marked, made_up

TOKEN = re.compile(
    rf"{begins('A-Za-z0-9_-')}(?P<header>eyJ[\w\-]{{8,4096}}+)\.(?P<payload>[\w\-]{{4,}}+)\.(?P<signature>[\w\-]{{16,}}+)",
    re.ASCII,
)
HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
SAMPLE_CLAIMS = "eyJzdWIiOiIxMjM0NTY3ODkw"
"""With this (`{"sub":"1234567890`) begin the tokens of the manuals."""


def _decoded(part: str) -> object:
    try:
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None


def _is_token(match: re.Match[str]) -> bool:
    header = _decoded(match["header"])
    return isinstance(header, dict) and isinstance(header.get("alg"), str)


def _is_reserved(token: str) -> bool:
    _, payload, signature = token.split(".")
    return is_marked(signature) or payload.startswith(SAMPLE_CLAIMS)


def _surrogate(token: str, draw: Draw) -> str:
    """A token of nobody. The header is replaced too: it may name the key."""
    claims = json.dumps({"sub": f"example-{draw.number(10**6):06d}"}, separators=(",", ":"))
    payload = base64.urlsafe_b64encode(claims.encode()).rstrip(b"=").decode()
    return f"{HEADER}.{payload}.{made_up('a' * len(token.split('.')[2]), draw, alphabet=ALNUM)}"


JWT = Detector("jwt", r"eyJ[\w-]{8,}\.", by_pattern(TOKEN, _is_token), _is_reserved, _surrogate)
