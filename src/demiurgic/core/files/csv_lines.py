"""The lines behind a CSV record: what stood where one could not be read, and how far a broken quote reaches.

Knows nothing of columns. After a broken quote nothing says whether the field ends with its line or runs on to a later
quote, and read either way good rows are lost or made up. So a record that cannot be read is one bad record only when
it is one line; else the file is refused.
"""

import re
from collections.abc import Iterator
from typing import final

from demiurgic.core.errors import UserError

OPENING = re.compile(r'(?:^|,)"')
CLOSING = re.compile(r'""|"(?=[,\r\n]|$)')


@final
class CsvLines:
    """An iterator over the lines of a file that keeps those of the present record."""

    def __init__(self, text: Iterator[str], *, name: str) -> None:
        self._text = text
        self._name = name
        self._number = 0
        self._kept: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self._number += 1
        # Empty lines between records belong to none.
        if self._kept or line.strip("\r\n"):
            self._kept.append(line)
        return line

    def forget(self) -> None:
        """The next line begins a record."""
        self._kept.clear()

    @property
    def whole(self) -> bool:
        """Whether the last line of the record has its end."""
        return bool(self._kept) and self._kept[-1].endswith(("\n", "\r"))

    def raw(self, limit: int) -> str:
        """The first `limit` characters of the record, bytes that are no UTF-8 replaced."""
        raw = "".join(self._kept[:limit])[:limit]
        return raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def read_to_the_closing_quote(self) -> None:
        """Read on while the record ends inside a quoted field; a quote closes one only before a comma or line end."""
        opened = None
        for number, line in enumerate(self._kept):
            opened = _opened(line, number=number, before=opened)
        while opened is not None and (line := next(self, "")):
            opened = _opened(line, number=len(self._kept), before=opened)

    def refuse_several(self, reason: str) -> None:
        """Raises UserError when the record is more than one line, naming where the field opened that runs on."""
        if len(self._kept) < 2:
            return
        at, opened = 0, None
        for number, line in enumerate(self._kept):
            opened = _opened(line, number=number, before=opened)
            at = at if opened is None else opened
        first = self._number - len(self._kept) + 1
        raise UserError(
            f"{self._name}: a quoted field opens in line {first + at}, and its record cannot be read ({reason}); "
            f"{len(self._kept)} lines would be lost with it. Close the quote, write a quote inside a field twice, or "
            "take the record out."
        )


def _opened(line: str, *, number: int, before: int | None) -> int | None:
    """Number of the line in which the field opened that is open where this line ends; None when none is."""
    opened, place = before, 0
    while found := (OPENING if opened is None else CLOSING).search(line, place):
        place = found.end()
        if opened is None:
            opened = number
        elif found.group() != '""':
            opened = None
    return opened
