"""Keys and tokens that say whose they are: a prefix of the vendor, then a body of known length and alphabet."""

import re
from dataclasses import dataclass

from demiurgic.curate.pii.detector import Detector, begins, by_pattern
from demiurgic.curate.pii.draw import ALNUM, HEX, Draw, made_up
from demiurgic.curate.pii.strength import is_placeholder

WIDE = ALNUM + "_-"
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
BASE64 = ALNUM + "+/"


@dataclass(frozen=True)
class Form:
    """How a vendor's keys look. `prefix` and `body` are patterns that RE2 and `re` read alike."""

    kind: str
    prefix: str
    body: str
    alphabet: str = ALNUM
    least_kinds: int = 1
    """Of lower case, upper case and digits, how many a body must have: for prefixes that words have too."""


FORMS = (
    Form("aws", "(?:AKIA|ASIA|ABIA|ACCA)", "[A-Z2-7]{16}", BASE32),
    Form("github", "gh[pousr]_", "[A-Za-z0-9]{36,251}"),
    Form("github", "github_pat_", "[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    Form("anthropic", r"sk-ant-[a-z]{2,8}\d\d-", r"[\w-]{24,128}", WIDE),
    Form("openrouter", "sk-or-v1-", "[0-9a-f]{64}", HEX),
    Form("openai", "sk-(?:proj|svcacct|admin|None)-", r"[\w-]{24,200}", WIDE, 2),
    Form("openai", "sk-", "[A-Za-z0-9]{32,64}", ALNUM, 2),
    Form("slack", r"xox[abeoprs]-(?:\d-)?", "[A-Za-z0-9-]{20,250}", ALNUM, 1),
    Form("slack", r"xapp-\d-[A-Z0-9]{8,14}-", r"\d{10,14}-[a-f0-9]{40,80}"),
    Form("slack", r"hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/", "[A-Za-z0-9]{20,28}"),
    Form("stripe", "[rs]k_(?:live|test)_", "[A-Za-z0-9]{16,247}", ALNUM, 2),
    Form("stripe", "whsec_", "[A-Za-z0-9]{24,64}", ALNUM, 2),
    Form("google", "AIza", r"[\w-]{35}", WIDE),
    Form("google", "GOCSPX-", r"[\w-]{28}", WIDE),
    Form("google", r"ya29\.", r"[\w-]{30,250}", WIDE),
    Form("huggingface", "hf_", "[A-Za-z0-9]{30,40}", ALNUM, 2),
    Form("gitlab", "gl(?:pat|dt|rt|ptt|oas|cbt|ft)-", r"[\w-]{20,80}", WIDE, 2),
    Form("npm", "npm_", "[A-Za-z0-9]{36}"),
    Form("pypi", "pypi-Ag(?:EIcHlwaS5vcmc|ENdGVzdC5weXBp)", r"[\w-]{50,300}", WIDE),
    Form("azure", "(?:AccountKey|SharedAccessKey)=", r"[A-Za-z0-9+/]{42,86}={1,2}", BASE64),
    Form("azure", r"[\w~.-]{3}\dQ~", r"[\w~.-]{31,34}", WIDE),
    Form("azure", r"[?&]sig=", "[A-Za-z0-9%]{43,80}", ALNUM),
    Form("twilio", "(?:SK|AC)", "[0-9a-f]{32}", HEX),
    Form("sendgrid", r"SG\.", r"[\w-]{16,32}\.[\w-]{32,64}", WIDE),
    Form("telegram", r"\d{8,10}:AA", r"[\w-]{33}", WIDE),
    Form("discord", r"discord(?:app)?\.com/api/webhooks/\d{15,21}/", r"[\w-]{60,80}", WIDE),
    Form("digitalocean", "do[opr]_v1_", "[0-9a-f]{64}", HEX),
    Form("shopify", "shp(?:at|ca|pa|ss)_", "[0-9a-f]{32}", HEX),
    Form("databricks", "dapi", "[0-9a-f]{32}", HEX),
    Form("docker", "dckr_pat_", r"[\w-]{27}", WIDE),
    Form("groq", "gsk_", "[A-Za-z0-9]{48,56}"),
    Form("xai", "xai-", "[A-Za-z0-9]{80}"),
    Form("replicate", "r8_", "[A-Za-z0-9]{37}"),
    Form("perplexity", "pplx-", "[A-Za-z0-9]{48}"),
    Form("nvidia", "nvapi-", r"[\w-]{60,70}", WIDE),
    Form("mailgun", "key-", "[0-9a-f]{32}", HEX),
    Form("linear", "lin_api_", "[A-Za-z0-9]{40}"),
    Form("notion", "ntn_", "[A-Za-z0-9]{46}"),
    Form("atlassian", "ATATT3", r"[\w=-]{100,250}", WIDE),
    Form("postman", "PMAK-", "[0-9a-f]{24}-[0-9a-f]{34}", HEX),
    Form("newrelic", "NRAK-", "[A-Z0-9]{27}", BASE32),
    Form("grafana", "gl(?:c|sa)_", r"[\w=+/]{32,200}", ALNUM, 2),
    Form("vault", r"hv[sb]\.", r"[\w-]{24,300}", WIDE, 2),
    Form("sentry", "sntry[su]_", r"[\w=+/-]{40,300}", WIDE, 2),
    Form("supabase", "sbp_", "[0-9a-f]{40}", HEX),
    Form("square", "sq0(?:atp|csp|idp)-", r"[\w-]{22,43}", WIDE),
)
START = re.compile(begins("A-Za-z0-9_-"))
SAMPLES = frozenset(("4eC39HqLyjWDarjtT1zdp7dc",))
"""Bodies of keys that a vendor's manual prints for everyone."""


def _screen(form: Form) -> str:
    """The prefix and at most eight characters of the body: long counted repeats are slow in RE2."""
    first = re.match(r"(?P<characters>\[[^\]]*\]|\\d)\{(?P<least>\d+)", form.body)
    if first is None:
        raise ValueError(f"the body of {form.kind} has to begin with counted characters: {form.body}")
    return f"{form.prefix}{first['characters']}{{{min(8, int(first['least']))}}}"


SCREEN = "|".join(map(_screen, FORMS))


def _kinds_of_characters(body: str) -> int:
    tests = (str.islower, str.isupper, str.isdigit)
    return sum(any(map(test, body)) for test in tests)


def _detector(form: Form) -> Detector:
    # A prefix may begin with the character that ends the word before.
    start = None if form.prefix.startswith(("[?&]", "hooks", "discord")) else START
    # What may not stand before is asked after: `re` is many times as fast where a pattern begins with its literal.
    pattern = re.compile(rf"(?:{form.prefix})(?P<body>{form.body})(?![A-Za-z0-9_])", re.ASCII)
    parts = re.compile(rf"({form.prefix})(.*)", re.ASCII | re.DOTALL)

    def body(key: str) -> tuple[str, str]:
        match = parts.match(key)
        assert match is not None
        return match[1], match[2]

    def is_valid(match: re.Match[str]) -> bool:
        found = match["body"]
        if start is not None and not start.match(match.string, match.start()):
            return False
        return len(set(found)) >= 6 and _kinds_of_characters(found) >= form.least_kinds

    def is_reserved(key: str) -> bool:
        found = body(key)[1]
        return is_placeholder(found) or found in SAMPLES

    def surrogate(key: str, draw: Draw) -> str:
        prefix, found = body(key)
        return prefix + made_up(found, draw, alphabet=form.alphabet)

    return Detector(form.kind, SCREEN, by_pattern(pattern, is_valid), is_reserved, surrogate)


KEYS = tuple(map(_detector, FORMS))
