"""Telephone numbers: international ones, the forms of some nations, and bare digits after a word for them."""

import re
from collections.abc import Iterator

from demiurgic.curate.pii.detector import Detector, Place, begins
from demiurgic.curate.pii.digits import LONG_NUMBER, digits_of, in_runs, with_digits
from demiurgic.curate.pii.draw import Draw

START = rf"(?<![0-9][./\-])(?<![.\-]){begins('0-9A-Za-z_+')}"
STOP = r"(?![0-9A-Za-z_]|[.\-/][0-9])"
# Separators and one digit at a time: there is one way to read a run, and so no way to be slow.
RUN = r"[0-9](?:[ .\u00a0/()\-]{0,2}+[0-9])"
INTERNATIONAL = re.compile(
    rf"(?<![0-9][.,]){begins('0-9A-Za-z_')}(?:\+|00(?=[1-9]))(?P<digits>{RUN}{{8,14}}+){STOP}", re.ASCII
)
AREA, EXCHANGE = "[2-9](?!11)[0-9]{2}", "[2-9](?!11)[0-9]{2}"
AMERICAN = re.compile(
    rf"{START}(?:\+?1[ .\u00a0-]?)?(?:\({AREA}\)[ \u00a0-]?|{AREA}[ .\u00a0/-]){EXCHANGE}[ .\u00a0-][0-9]{{4}}{STOP}",
    re.ASCII,
)
NATIONAL = re.compile(
    rf"{START}(?:"
    r"0[1-9](?P<pair>[ .\-])[0-9]{2}(?:(?P=pair)[0-9]{2}){3}"  # France
    r"|\(?0[0-9]{2,4}\)?[ ][0-9]{3,4}[ ][0-9]{3,4}"  # United Kingdom, Italy
    r"|\(?0[0-9]{4}\)?[ ][0-9]{6}"  # United Kingdom
    r"|\(?0[1-9][0-9]{1,4}\)?[ ]?[/\-][ ]?[0-9]{4,8}"  # Germany, Austria
    rf"){STOP}",
    re.ASCII,
)
NAMED = re.compile(
    r"(?:phone|mobile|cell|fax|\btel|telefon|whatsapp|sms|handy|call|dial|电话|手机)"
    r"(?:[ _\-]?(?:number|no|nr|num|me|us))?"
    r"(?:[^0-9A-Za-z\n(]{1,6}|[^0-9A-Za-z\n]{0,4}\b(?:is|at|on|to)\b[^0-9A-Za-z\n(]{1,4})"
    rf"(?P<value>\(?{RUN}{{8,12}}+){STOP}",
    re.IGNORECASE | re.ASCII,
)
CODES = re.compile(
    "[17]|2[07]|3[0123469]|4[013456789]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    "|2[1234569][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[789][0-9]|8[0578][0-9]|9[679][0-9]"
)
"""Country calling codes (ITU E.164)."""
BRITISH_DRAMA = ("7700900", "2079460", "1632960", "1134960", "1144960", "1154960", "1164960", "1174960", "1184960")
"""Set apart for films and plays by Ofcom."""
NO_AREAS = ("555", "800", "833", "844", "855", "866", "877", "888", "900")


def _find(text: str) -> Iterator[Place]:
    for match in in_runs(AMERICAN, text):
        if not _is_reckoning(text, *match.span()):
            yield Place(*match.span(), *match.span())
    for match in in_runs(INTERNATIONAL, text):
        if _is_international(match["digits"]) and not _is_reckoning(text, *match.span()):
            yield Place(*match.span(), *match.span())
    for match in in_runs(NATIONAL, text):
        if 9 <= len(digits_of(match[0])) <= 12 and not _is_reckoning(text, *match.span()):
            yield Place(*match.span(), *match.span())
    for match in in_runs(NAMED, text):
        if 9 <= len(digits_of(match["value"])) <= 13:
            yield Place(*match.span("value"), *match.span())


def _is_international(number: str) -> bool:
    digits = digits_of(number)
    if digits[:1] == "1":
        return re.fullmatch(f"1{AREA}{EXCHANGE}[0-9]{{4}}", digits, re.ASCII) is not None
    # Eight digits or more behind a plus are also a sum; written in one piece, only a long one is a telephone.
    return CODES.match(digits) is not None and (9 if digits != number else 10) <= len(digits) <= 15


def _is_reckoning(text: str, start: int, stop: int) -> bool:
    """Beside another number or a sign of arithmetic: one of a list or of a sum."""
    before, after = text[max(0, start - 3) : start].rstrip(" "), text[stop : stop + 3].lstrip(" ")
    return before[-1:] in tuple("0123456789*/^%$€£") or after[:1] in tuple("0123456789*/+^%=€")


def _subscriber(number: str) -> str:
    digits = digits_of(number)
    return digits[1:] if len(digits) == 11 and digits[0] == "1" else digits


def _is_reserved(number: str) -> bool:
    """555-01xx in any area, and areas that no person has: 555, that of toll-free calls; what stands for a number."""
    digits = _subscriber(number)
    if len(digits) == 10 and (digits[3:8] == "55501" or digits[:3] in NO_AREAS):
        return True
    # Behind the country code 44 (perhaps with 00 before) or the national 0.
    national = re.sub("^(?:(?:00)?440?|0)", "", digits, flags=re.ASCII)
    drama = len(national) in (9, 10) and national.startswith(BRITISH_DRAMA)
    return drama or len(set(digits)) < 3 or digits in ("1234567890", "0123456789", "123456789")


def _surrogate(number: str, draw: Draw) -> str:
    """A number of the American plan that is set apart for fiction, written as the other was."""
    area = f"{2 + draw.number(3)}0{1 + draw.number(9)}"
    digits = f"{area}55501{draw.number(100):02d}"
    plus = "+1" if number.startswith(("+", "00")) else ""
    if not re.search(r"[^0-9+]", number):
        return plus + digits
    if len(_subscriber(number)) == 10 and not number.startswith("0"):
        country = "1" if len(digits_of(number)) == 11 else ""
        return with_digits(number, country + digits)
    return f"{plus} {digits[:3]}-{digits[3:6]}-{digits[6:]}".lstrip()


PHONE = Detector("phone", LONG_NUMBER, _find, _is_reserved, _surrogate, digits_of)
