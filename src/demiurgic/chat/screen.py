"""What is written on the terminal: cleaned of everything that would steer it, and coloured where colour is wanted.

An answer is shown as it comes and exactly as it is: no box, no wrapping, no indentation of our own, so that what is
copied from the screen is what the model wrote. Nothing on the screen is ever drawn again, so nothing flickers.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.text import Text

DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that turn the direction of writing: they can make code read other than it runs (CVE-2021-42574)."""
HARMLESS = (
    {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}  # ESC becomes the picture ␛
    | {0x7F: 0x2421}
    | dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000), *map(ord, DIRECTIONS)], 0xFFFD)
)


def harmless(text: str) -> str:
    """`text` with every control character but line end and tab made visible: it can no longer steer a terminal."""
    return text.replace("\r\n", "\n").translate(HARMLESS)


def wants_colour(file: TextIO) -> bool:
    """A terminal, and neither NO_COLOR (https://no-color.org) nor a dumb one."""
    return file.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


COLUMN = re.compile(r" *(?:\S+(?: \S+)* {2,})?")
"""The indentation of a line, with a first column where two blanks or more end one."""


class Screen:
    """Writes lines and answers to one file."""

    def __init__(self, file: TextIO, *, colour: bool) -> None:
        self.colour = colour
        self._file = file

    def line(self, text: str = "", *, style: str = "") -> None:
        """One line of ours, in a rich style where there is colour."""
        self.write(f"{harmless(text)}\n", style=style)

    def say(self, text: str, *, style: str = "") -> None:
        """A sentence of ours, broken between words where the window ends; its indentation, or column, goes on."""
        width = get_terminal_size().columns - 1
        column = COLUMN.match(text)
        indent = " " * (column.end() if column and column.end() <= width // 2 else 0)
        for line in wrap(text, width, subsequent_indent=indent, break_on_hyphens=False) or [""]:
            self.line(line, style=style)

    def write(self, text: str, *, style: str = "") -> None:
        """Harmless text, at once."""
        if style and self.colour:
            from rich.text import Text

            self.paint(Text(text, style=style))
            return
        self._file.write(text)
        self._file.flush()

    def paint(self, text: "Text") -> None:
        from rich.console import Console

        console = Console(file=self._file, force_terminal=True, soft_wrap=True, highlight=False, markup=False)
        console.print(text, end="")
        self._file.flush()

    @contextmanager
    def waiting(self, text: str) -> Iterator["Waiting"]:
        """A line on stderr that is gone when the block ends; without a terminal, nothing."""
        wait = Waiting(sys.stderr) if sys.stderr.isatty() else Waiting(None)
        wait.show(text)
        try:
            yield wait
        finally:
            wait.clear()


class Waiting:
    """One line that is written over."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self._shown = False

    def show(self, text: str) -> None:
        if self._file is not None:
            columns = os.get_terminal_size(self._file.fileno()).columns
            self._file.write(f"\r\x1b[K{harmless(text)[: max(columns - 1, 0)]}")
            self._file.flush()
            self._shown = True

    def clear(self) -> None:
        """Take the line away, once: what is written after it stays."""
        if self._file is not None and self._shown:
            self._file.write("\r\x1b[K")
            self._file.flush()
            self._shown = False
