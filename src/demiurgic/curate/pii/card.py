"""Payment cards: an issuer's prefix and length, and the Luhn digit."""

import re

from demiurgic.curate.pii.detector import Detector, begins, by_pattern
from demiurgic.curate.pii.digits import GAP, LONG_NUMBER, digits_of, in_runs, luhn_digit, passes_luhn, with_digits
from demiurgic.curate.pii.draw import Draw

NUMBER = re.compile(
    rf"(?<!\d[.\-])(?<![.\-]){begins('0-9A-Za-z_')}(?:"
    rf"\d{{4}}(?P<four>{GAP})\d{{4}}(?P=four)\d{{4}}(?P=four)\d{{4}}(?:(?P=four)\d{{3}})?"
    rf"|\d{{4}}(?P<six>{GAP})\d{{6}}(?P=six)\d{{4,5}}"
    r"|\d{13,19}"
    r")(?![0-9A-Za-z_]|[.\-]\d)",
    re.ASCII,
)
ISSUERS = (
    (re.compile("4"), (13, 16, 19)),  # Visa
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (re.compile("3[47]"), (15,)),  # American Express
    (re.compile("6011|64[4-9]|65"), (16, 19)),  # Discover
    (re.compile("352[89]|35[3-8]"), (16,)),  # JCB
    (re.compile("30[0-5]|36|3[89]"), (14,)),  # Diners Club
    (re.compile("62"), (16, 19)),  # UnionPay
)
TEST_PREFIXES = ("424242", "40000000")
TEST_CARDS = """
4111111111111111 4012888888881881 4222222222222 4000056655665556 5555555555554444 2223003122003222
5200828282828210 5105105105105100 5425233430109903 2223000048400011 378282246310005 371449635398431
378734493671000 6011111111111117 6011000990139424 6011000000000004 30569309025904 38520000023237 3056930009020004
36227206271667 3566002020360505 3530111333300000 6200000000000005 4988438843884305 4917610000000000
4539578763621486 4532015112830366
"""
"""Numbers that payment services and manuals give for tests."""
TEST_BY_LENGTH = {
    14: ("30569309025904", "38520000023237", "36227206271667"),
    15: ("378282246310005", "371449635398431", "378734493671000"),
}


def _is_card(match: re.Match[str]) -> bool:
    digits = digits_of(match[0])
    issued = any(prefix.match(digits) and len(digits) in lengths for prefix, lengths in ISSUERS)
    return issued and passes_luhn(digits)


def _is_reserved(number: str) -> bool:
    digits = digits_of(number)
    return digits in TEST_CARDS.split() or digits.startswith(TEST_PREFIXES) or len(set(digits)) < 3


def _surrogate(number: str, draw: Draw) -> str:
    """Another number of the same length and grouping, of those that only tests use."""
    length = len(digits_of(number))
    if length in TEST_BY_LENGTH:
        known = TEST_BY_LENGTH[length]
        return with_digits(number, known[draw.number(len(known))])
    body = TEST_PREFIXES[0] + draw.characters("0123456789", length - len(TEST_PREFIXES[0]) - 1)
    return with_digits(number, body + luhn_digit(body))


CARD = Detector("card", LONG_NUMBER, by_pattern(NUMBER, _is_card, search=in_runs), _is_reserved, _surrogate, digits_of)
