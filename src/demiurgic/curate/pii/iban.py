"""International bank account numbers (ISO 13616): country, length, and the remainder 1 modulo 97."""

import re
from collections.abc import Iterator

from demiurgic.curate.pii.detector import Detector, Place, begins
from demiurgic.curate.pii.draw import Draw

# fmt: off
LENGTHS = {
    "NO": 15, "BE": 16, "DK": 18, "FI": 18, "FO": 18, "GL": 18, "NL": 18, "MK": 19, "SI": 19,
    "AT": 20, "BA": 20, "EE": 20, "KZ": 20, "LT": 20, "LU": 20, "XK": 20, "CH": 21, "HR": 21, "LI": 21, "LV": 21,
    "BG": 22, "BH": 22, "CR": 22, "DE": 22, "GB": 22, "GE": 22, "IE": 22, "ME": 22, "RS": 22, "VA": 22,
    "AE": 23, "GI": 23, "IL": 23, "IQ": 23, "TL": 23, "AD": 24, "CZ": 24, "ES": 24, "MD": 24, "PK": 24, "RO": 24,
    "SA": 24, "SE": 24, "SK": 24, "TN": 24, "VG": 24, "LY": 25, "PT": 25, "ST": 25, "IS": 26, "TR": 26,
    "FR": 27, "GR": 27, "IT": 27, "MC": 27, "MR": 27, "SM": 27, "AL": 28, "AZ": 28, "BY": 28, "CY": 28, "DO": 28,
    "GT": 28, "HU": 28, "LB": 28, "PL": 28, "SV": 28, "BR": 29, "EG": 29, "PS": 29, "QA": 29, "UA": 29,
    "JO": 30, "KW": 30, "MU": 30, "MT": 31, "SC": 31, "LC": 32,
}
# fmt: on
"""Characters of an account number by country (registry of SWIFT)."""
NUMBER = re.compile(rf"{begins('0-9A-Za-z')}[A-Z]{{2}}\d\d(?:[ \u00a0-]?[A-Z0-9]){{11,28}}+", re.ASCII)
SAMPLES = frozenset(
    (
        *("DE89370400440532013000", "GB29NWBK60161331926819", "GB82WEST12345698765432", "GB33BUKB20201555555555"),
        *("FR1420041010050500013M02606", "NL91ABNA0417164300", "ES9121000418450200051332", "CH9300762011623852957"),
        *("IT60X0542811101000000123456", "BE68539007547034", "AT611904300234573201", "SE4550000000058398257466"),
    )
)
"""Those of the registry and of encyclopedias."""
NUM_DRAWN = 6
"""A surrogate's account is zeros (X for letters) but for this many characters at its end: no bank has the number 0."""


def _find(text: str) -> Iterator[Place]:
    for match in NUMBER.finditer(text):
        number = _first(match[0])
        stop = match.start() + len(number)
        following = text[stop : stop + 1]
        if number and not (following.isascii() and following.isalnum()) and remainder(_bare(number)) == 1:
            yield Place(match.start(), stop, match.start(), stop)


def _first(run: str) -> str:
    """As much of a run as the country's numbers are long, without separators; empty where it is no country."""
    wanted = LENGTHS.get(run[:2], 0)
    seen = 0
    for place, character in enumerate(run, start=1):
        seen += character.isalnum()
        if seen == wanted:
            return run[:place]
    return ""


def _bare(number: str) -> str:
    return "".join(filter(str.isalnum, number))


def remainder(bare: str) -> int:
    """The number modulo 97 after ISO 7064: the first four characters to the end, letters as 10 to 35."""
    return int("".join(str(int(character, 36)) for character in bare[4:] + bare[:4])) % 97


def _empty(account: str) -> str:
    return "".join("0" if character.isdigit() else "X" for character in account)


def _is_reserved(number: str) -> bool:
    bare = _bare(number)
    account = bare[4:-NUM_DRAWN]
    return bare in SAMPLES or account == _empty(account)


def _surrogate(number: str, draw: Draw) -> str:
    bare = _bare(number)
    last = "".join(draw.characters("0123456789" if c.isdigit() else "ABCDEFGHJKLM", 1) for c in bare[-NUM_DRAWN:])
    account = _empty(bare[4:-NUM_DRAWN]) + last
    check = 98 - remainder(bare[:2] + "00" + account)
    following = iter(f"{bare[:2]}{check:02d}{account}")
    return "".join(next(following) if character.isalnum() else character for character in number)


IBAN = Detector("iban", r"[A-Z]{2}\d\d(?:[ \x{a0}-]?[A-Z0-9]){11}", _find, _is_reserved, _surrogate, _bare)
