"""Colours an answer while it streams, without changing a character of it. Knows no terminal but the screen it is given.

Prose goes out at once. A line of code goes out when it is whole, for only then its colours are known; the lines before
it in the same block are read again with it, so that a string over several lines is one.
"""

import re
from typing import TYPE_CHECKING

from demiurgic.chat.screen import Screen, harmless

if TYPE_CHECKING:
    from rich.syntax import Syntax
    from rich.text import Text

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
MAYBE_FENCE = re.compile(r" {0,3}(`{0,3}|~{0,3})$")
MAX_CODE_LINES = 300
"""Past this many lines of one block, further ones are plain: colouring reads the block again for every line."""


class Painter:
    """Feeds one answer to a screen. `language` is set for a model whose answers are bare code of that language."""

    def __init__(self, screen: Screen, *, language: str | None = None) -> None:
        self._screen = screen
        self._bare = language
        self._fence = ""
        self._language = language
        self._code: list[str] = []
        self._line = ""
        """What has come of the present line and is not yet shown."""
        self._fresh = True
        """Whether nothing of the present line is shown yet."""
        self._style = ""
        self._return = ""

    def feed(self, piece: str) -> None:
        """Show the next piece of the answer, or hold back what belongs to a line of code that is not yet whole."""
        piece, self._return = _without_last_return(self._return + piece)
        *whole, rest = harmless(piece).split("\n")
        if not self._screen.colour:
            self._screen.write("\n".join([*whole, rest]))
            self._fresh = not rest if whole else self._fresh and not rest
            return
        for line in whole:
            self._add(line)
            self._end_line()
        self._add(rest)

    def end(self) -> None:
        """Show what was held back, and begin a new line where one is open."""
        if self._return:
            self._line += harmless(self._return)
        if self._line:
            self._flush()
        if not self._fresh:
            self._screen.write("\n")

    def _add(self, text: str) -> None:
        self._line += text
        in_code = self._language is not None
        if not in_code and not (self._fresh and MAYBE_FENCE.match(self._line)) and not FENCE.match(self._line):
            self._flush()

    def _end_line(self) -> None:
        fence = FENCE.match(self._line) if self._fresh and self._bare is None else None
        opens = fence is not None and self._language is None
        closes = fence is not None and self._language is not None and self._closes(fence)
        if closes:
            self._language = None
        self._flush(style="dim" if opens or closes else None)
        self._screen.write("\n")
        self._fresh = True
        self._style = ""
        if opens and fence is not None:
            self._fence, self._code = fence[1], []
            self._language = fence[2].strip().split(" ")[0].lower() or "text"

    def _closes(self, fence: re.Match[str]) -> bool:
        return fence[1][0] == self._fence[0] and len(fence[1]) >= len(self._fence) and not fence[2].strip()

    def _flush(self, *, style: str | None = None) -> None:
        text, self._line = self._line, ""
        if self._fresh and text.startswith("#") and self._language is None:
            self._style = "bold"
        if self._language is not None:
            self._paint_code(text)
        elif style is not None:
            self._screen.write(text, style=style)
        else:
            self._paint_prose(text)
        if text:
            self._fresh = False

    def _paint_prose(self, text: str) -> None:
        """`code` between back-ticks, whole lines of headings; a mark and its text may come in different pieces."""
        for number, part in enumerate(text.split("`")):
            if number:
                opening = self._style != "cyan"
                self._screen.write("`", style="cyan")
                self._style = "cyan" if opening else ""
            if part:
                self._screen.write(part, style=self._style)

    def _paint_code(self, text: str) -> None:
        self._code.append(text)
        if len(self._code) > MAX_CODE_LINES:
            self._screen.write(text)
            return
        lines = _syntax(self._language or "text").highlight("\n".join(self._code)).split("\n", allow_blank=True)
        painted: Text = lines[len(self._code) - 1]
        if painted.plain == text:
            self._screen.paint(painted)
        else:  # a lexer that drops or adds something must not change the answer
            self._screen.write(text)


def _syntax(language: str) -> "Syntax":
    from rich.syntax import Syntax

    return Syntax("", language, theme="ansi_dark", background_color="default")


def _without_last_return(text: str) -> tuple[str, str]:
    """A carriage return at the end waits for the next piece: with a line end behind it, it is one line end."""
    return (text[:-1], "\r") if text.endswith("\r") else (text, "")
