# ruff: noqa: E501 (a form a line reads better than one broken)
"""Personal data and secrets made up to be found: every kind in its usual forms, set into real texts in usual places.

Written from what vendors and standards publish, and not from the patterns that look for them. Nobody's: all is drawn.
"""

import base64
import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

ALNUM = string.ascii_letters + string.digits
URL_SAFE = ALNUM + "_-"
HEX = "0123456789abcdef"


@dataclass(frozen=True)
class Planted:
    """A text with something set into it; `secret` is what may not be left of it (the part that is no form)."""

    kind: str
    text: str
    secret: str


def some(random: Random, alphabet: str, count: int) -> str:
    return "".join(random.choices(alphabet, k=count))


def digits(random: Random, count: int) -> str:
    return some(random, string.digits, count)


def email(random: Random) -> str:
    names = (
        "m.okafor",
        "li.wei",
        "h_schneider",
        "josefina",
        "T.Andersson",
        "p-dubois",
        "anika.rao+news",
        "x7k2",
        "olu.bello",
    )
    hosts = (
        "gmail.com",
        "outlook.com",
        "web.de",
        "mail.ru",
        "uni-graz.ac.at",
        "acme-corp.co.uk",
        "proton.me",
        "startup.io",
    )
    return f"{random.choice(names)}{random.randint(1, 9999)}@{random.choice(hosts)}"


def phone(random: Random) -> str:
    area, exchange = random.randint(212, 798), random.randint(220, 498)
    area += area % 100 == 11
    exchange += exchange % 100 == 11
    line = digits(random, 4)
    return random.choice(
        [
            f"({area}) {exchange}-{line}", f"{area}-{exchange}-{line}", f"{area}.{exchange}.{line}", f"+1{area}{exchange}{line}",
            f"+1 ({area}) {exchange}-{line}", f"1-{area}-{exchange}-{line}", f"+1.{area}.{exchange}.{line}",
            f"+44 20 3{digits(random, 3)} {digits(random, 4)}", f"+44 (0)161 {digits(random, 3)} {digits(random, 4)}",
            f"+49 89 {digits(random, 8)}", f"+49-171-{digits(random, 7)}", f"+33 6 12 {digits(random, 2)} {digits(random, 2)} 78",
            f"06 12 34 {digits(random, 2)} {digits(random, 2)}", f"+91 98{digits(random, 3)} {digits(random, 5)}",
            f"+86 138 {digits(random, 4)} {digits(random, 4)}", f"+81-90-{digits(random, 4)}-{digits(random, 4)}",
            f"+55 11 9{digits(random, 4)}-{digits(random, 4)}", f"0161 {digits(random, 3)} {digits(random, 4)}",
            f"0049 30 {digits(random, 7)}", f"030/{digits(random, 7)}",
        ]
    )  # fmt: skip


def ipv4(random: Random) -> str:
    return f"{random.choice([34, 52, 81, 93, 151, 185, 203, 212])}.{random.randint(20, 250)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


def ipv6(random: Random) -> str:
    groups = [some(random, HEX, 4) for _ in range(6)]
    start = random.choice(["2a01", "2600", "2404", "2A02"])
    return random.choice(
        [f"{start}:{':'.join(groups)}:1", f"{start}:{groups[0]}::{groups[1]}", f"{start}:{groups[0]}:{groups[1]}::1"]
    )


def card(random: Random) -> str:
    start, length = random.choice(
        [("4539", 16), ("4716", 16), ("5312", 16), ("5489", 16), ("2321", 16), ("3714", 15), ("6011", 16)]
    )
    number = start + digits(random, length - len(start) - 1)
    total = sum(int(d) if place % 2 else sum(map(int, str(2 * int(d)))) for place, d in enumerate(reversed(number)))
    number += str((10 - total % 10) % 10)
    cut = [number[:4], number[4:10], number[10:]] if length == 15 else [number[i : i + 4] for i in range(0, 16, 4)]
    return random.choice(["", " ", "-"]).join(cut)


def ssn(random: Random) -> str:
    number = f"{random.randint(1, 665):03d}-{random.randint(1, 99):02d}-{random.randint(1, 9999):04d}"
    return random.choice([number, number, "SSN: " + number.replace("-", " "), "SSN " + number.replace("-", "")])


def iban(random: Random) -> str:
    country, length, bank = random.choice(
        [("DE", 22, ""), ("GB", 22, "LOYD"), ("NL", 18, "INGB"), ("FR", 27, ""), ("ES", 24, ""), ("IT", 27, "X")]
    )
    account = bank + digits(random, length - 4 - len(bank))
    as_number = int("".join(str(int(c, 36)) for c in account + country + "00"))
    number = f"{country}{98 - as_number % 97:02d}{account}"
    return random.choice([number, " ".join(number[i : i + 4] for i in range(0, length, 4))])


def jwt(random: Random) -> str:
    header = {"alg": random.choice(["HS256", "RS256", "ES256"]), "typ": "JWT"}
    claims = {"sub": digits(random, 8), "iat": 1_700_000_000 + random.randint(0, 9**7), "scope": some(random, ALNUM, 6)}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, some(random, URL_SAFE, 43)])


def private_key(random: Random) -> str:
    kind = random.choice(["RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED "])
    lines = [some(random, ALNUM + "+/", 64) for _ in range(random.randint(2, 12))] + [some(random, ALNUM, 22) + "=="]
    ends = random.choice(["\n", "\n", "\\n"])
    return ends.join([f"-----BEGIN {kind}PRIVATE KEY-----", *lines, f"-----END {kind}PRIVATE KEY-----"])


def url_password(random: Random) -> str:
    scheme = random.choice(["postgres", "postgresql+psycopg2", "mysql", "mongodb+srv", "redis", "amqps", "https"])
    password = some(random, ALNUM + "!$-_.~", random.randint(8, 20))
    return f"{scheme}://{random.choice(['app', 'deploy', 'svc_user', ''])}:{password}@{random.choice(['db', 'cache-1', '10.0.0.5'])}.prod.acme.io:5432/main"


def assigned_secret(random: Random) -> str:
    value = random.choice([some(random, ALNUM, 32), some(random, HEX, 40), some(random, ALNUM + "+/", 43) + "="])
    return random.choice(
        [
            f"api_key = '{value}'", f'"clientSecret": "{value}"', f"API_TOKEN={value}", f"export SECRET_KEY={value}",
            f"x-api-key: {value}", f"Authorization: Bearer {value}", f'password: "{some(random, ALNUM, 9)}#7aQ"',
            f"aws_secret_access_key = {some(random, ALNUM + '/+', 40)}", f"access_token={value}&page=2",
        ]
    )  # fmt: skip


Maker = Callable[[Random], str]
MAKERS: Mapping[str, Maker] = {
    "email": email, "phone": phone, "ipv4": ipv4, "ipv6": ipv6, "card": card, "ssn": ssn, "iban": iban, "jwt": jwt,
    "private_key": private_key, "url_password": url_password, "assigned_secret": assigned_secret,
    "aws": lambda r: r.choice(["AKIA", "ASIA"]) + some(r, string.ascii_uppercase + "234567", 16),
    "github": lambda r: r.choice([f"ghp_{some(r, ALNUM, 36)}", f"gho_{some(r, ALNUM, 36)}", f"github_pat_{some(r, ALNUM, 22)}_{some(r, ALNUM, 59)}"]),
    "openai": lambda r: r.choice([f"sk-{some(r, ALNUM, 20)}T3BlbkFJ{some(r, ALNUM, 20)}", f"sk-proj-{some(r, URL_SAFE, 120)}"]),
    "anthropic": lambda r: f"sk-ant-api03-{some(r, URL_SAFE, 93)}AA",
    "slack": lambda r: r.choice([f"xoxb-{digits(r, 12)}-{digits(r, 13)}-{some(r, ALNUM, 24)}", f"https://hooks.slack.com/services/T{digits(r, 8)}/B{digits(r, 8)}/{some(r, ALNUM, 24)}"]),
    "stripe": lambda r: f"{r.choice(['sk_live', 'rk_live', 'sk_test'])}_{some(r, ALNUM, r.choice([24, 99]))}",
    "google": lambda r: r.choice([f"AIza{some(r, URL_SAFE, 35)}", f"GOCSPX-{some(r, URL_SAFE, 28)}"]),
    "huggingface": lambda r: f"hf_{some(r, string.ascii_letters, 34)}",
    "gitlab": lambda r: f"glpat-{some(r, URL_SAFE, 20)}",
    "npm": lambda r: f"npm_{some(r, ALNUM, 36)}",
    "pypi": lambda r: f"pypi-AgEIcHlwaS5vcmc{some(r, URL_SAFE, 150)}",
    "azure": lambda r: f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={some(r, ALNUM + '+/', 86)}==;EndpointSuffix=core.windows.net",
    "twilio": lambda r: f"SK{some(r, HEX, 32)}",
    "sendgrid": lambda r: f"SG.{some(r, URL_SAFE, 22)}.{some(r, URL_SAFE, 43)}",
    "telegram": lambda r: f"{digits(r, 9)}7:AA{some(r, URL_SAFE, 33)}",
}  # fmt: skip

PLACES: tuple[Callable[[str, str], str], ...] = (
    lambda text, value: f"{text}\n\nContact or use {value}, please.",
    lambda text, value: f"{value}\n{text}",
    lambda text, value: f"{text}\n{value}",
    lambda text, value: _amid(text, f" {value} "),
    lambda text, value: _amid(text, f" ({value}) "),
    lambda text, value: _amid(text, f": {value}. "),
    lambda text, value: f"{text}\n```python\nvalue = call(x, {value!r}, 1)  # {len(text)}\n```",
    lambda text, value: f"{text}\n```sh\nrun --with={value} --fast\n```",
    lambda text, value: f"{text}\n" + json.dumps({"id": 7, "field": value, "next": None}),
    lambda text, value: json.dumps({"body": f"{text[:200]}\n{value}\nbye"}),
    lambda text, value: f"<td>{value}</td>\n{text}",
    lambda text, value: f"{text}\nname,value,age\nann,{value},41\n",
)
IN_URL = ("email", "ipv4", "aws", "github", "openai", "google", "jwt", "stripe", "gitlab", "twilio")


def _amid(text: str, value: str) -> str:
    place = text.find(" ", len(text) // 2)
    return text[:place] + value + text[place:] if place >= 0 else text + value


def plant(text: str, *, kind: str, random: Random) -> Planted:
    """Something of a kind, in one of its forms, in one of the places."""
    value = MAKERS[kind](random)
    place = random.randrange(len(PLACES) + (kind in IN_URL))
    if place == len(PLACES):
        whole = _amid(text, f" https://shop.acme.io/x?a=1&q={value}&b=2 ")
    else:
        whole = PLACES[place](text, value)
    return Planted(kind, whole, _core(kind, value))


def _core(kind: str, value: str) -> str:
    """A stretch of the value that its surrogate cannot keep: without the prefix, and short enough for one line."""
    match kind:
        case "url_password":
            return value.split("://", 1)[1].split("@")[0].split(":", 1)[1]
        case "private_key":
            return value.replace("\\n", "\n").split("\n")[1][8:40]
        case "assigned_secret":
            return max(
                value.replace("&page=2", "").strip("\"'").replace('"', " ").replace("'", " ").split("=", 1)[-1].split()
                or [value],
                key=len,
            )
        case "azure":
            return value.split("AccountKey=")[1][:40]
        case "ssn":
            return value.removeprefix("SSN").lstrip(": ")
        case "email" | "phone" | "ipv4" | "ipv6" | "card" | "iban":
            return value
    return value[-16:]
