"""Social security numbers of the United States: their dashes, or a word about them before nine digits."""

import re

from demiurgic.curate.pii.detector import Detector, by_pattern
from demiurgic.curate.pii.digits import LONG_NUMBER, digits_of, in_runs, with_digits
from demiurgic.curate.pii.draw import Draw

NUMBER = re.compile(
    r"(?:(?<=\\[nrtbf])|(?<![0-9A-Za-z_\-.+*/]))(?P<value>\d{3}(?P<gap>[-–\u2011])\d{2}(?P=gap)\d{4}"
    r"|(?:(?<=(?i:ssn) )|(?<=(?i:ssn)[:=])|(?<=(?i:ssn)[:=] )|(?<=(?i:ssn)\": )|(?<=(?i:ssn)\": \")|(?<=(?i:ssn) is )"
    r"|(?<=(?i:security number) )|(?<=(?i:security number): )|(?<=(?i:security number) is ))\d{3}[ .]?\d{2}[ .]?\d{4}"
    r")(?![0-9A-Za-z_]|[-.]\d)",
    re.ASCII,
)
ADVERTISED = "98765432"
"""987-65-4320 to -4329 are set apart for advertisements; no number begins with 9."""
KNOWN = frozenset(("078051120", "219099999", "123456789", "111223333", "457555462"))
"""Numbers that were printed so often that they are nobody's."""


def _is_issued(match: re.Match[str]) -> bool:
    """The Social Security Administration issues none with area 000, 666 or 9xx, group 00 or serial 0000."""
    digits = digits_of(match["value"])
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    issued = area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"
    return issued or digits.startswith(ADVERTISED)


def _is_reserved(number: str) -> bool:
    digits = digits_of(number)
    return digits.startswith(ADVERTISED) or digits in KNOWN


def _surrogate(number: str, draw: Draw) -> str:
    return with_digits(number, f"{ADVERTISED}{draw.number(10)}")


SSN = Detector(
    "ssn",
    LONG_NUMBER.replace("-", r"\x{2013}\x{2011}-"),
    by_pattern(NUMBER, _is_issued, search=in_runs),
    _is_reserved,
    _surrogate,
    digits_of,
)
