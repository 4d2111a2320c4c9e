"""What numbers of people have in common: runs of digits with separators. Knows no kind of number."""

import re
from collections.abc import Iterator

LONG_NUMBER = r"\d(?:[ ./()\x{a0}-]{0,2}\d){8}"
"""Of RE2: nine digits with at most two separators between them; telephone, card and security numbers have more."""
GAP = r"[ .\u00a0-]"
RUN = re.compile(r"[0-9](?:[^0-9A-Za-z\n]{0,3}+[0-9]){8,}+")
"""Where there are so many digits. It begins with a set of characters, which `re` looks for ten times as fast."""
BEFORE, AFTER = 48, 4
"""Characters around a run that patterns may look at."""


def in_runs(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """The matches of a pattern for long numbers, searched for where there are long numbers."""
    stop = 0
    for run in RUN.finditer(text):
        start, stop = max(stop, run.start() - BEFORE), run.end()
        for match in pattern.finditer(text, start, stop + AFTER):
            stop = max(stop, match.end())
            yield match


def digits_of(text: str) -> str:
    return re.sub(r"\D", "", text, flags=re.ASCII)


def with_digits(text: str, digits: str) -> str:
    """The text with its digits, in order, replaced by others: as many as it has."""
    following: Iterator[str] = iter(digits)
    return "".join(next(following) if character in "0123456789" else character for character in text)


def luhn_digit(digits: str) -> str:
    """The digit that makes `digits` + it pass the Luhn check (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(reversed(digits))]
    return str(-sum(number // 10 + number % 10 for number in doubled) % 10)


def passes_luhn(digits: str) -> bool:
    return luhn_digit(digits[:-1]) == digits[-1]
