"""A real program on a pseudo-terminal, and the screen a person would see: enough of an xterm for prompt_toolkit.

with Terminal([sys.executable, "-m", "demiurgic", …], columns=60) as terminal:
    terminal.wait_for("> ")
    terminal.send("hello\r")
    print(terminal.text)
"""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

SEQUENCE = re.compile(
    r"\x1b\[(?P<mark>[?>=]?)(?P<numbers>[0-9;]*)(?P<final>[@-~])|\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)|\x1b[=>78]"
)
INCOMPLETE = re.compile(r"\x1b(?:\[[?>=]?[0-9;]*|\][^\x07\x1b]*)?$")


class Screen:
    """Characters on a grid, a cursor, and what scrolled out at the top."""

    def __init__(self, *, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.grid = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.gone: list[str] = []
        self.titles: list[str] = []
        self.coloured = False
        self.wraps = True

    @property
    def text(self) -> str:
        """Everything shown since the start that was not written over, line by line."""
        return "\n".join([*self.gone, *("".join(line).rstrip() for line in self.grid)]).rstrip()

    def put(self, character: str) -> None:
        match character:
            case "\n":
                self._line_feed()
            case "\r":
                self.column = 0
            case "\b":
                self.column = max(0, self.column - 1)
            case "\t":
                self.column = min(self.columns - 1, self.column // 8 * 8 + 8)
            case "\x07" | "\x00":
                pass
            case _:
                if self.column >= self.columns:
                    if self.wraps:
                        self.column = 0
                        self._line_feed()
                    else:
                        self.column = self.columns - 1
                self.grid[self.row][self.column] = character
                self.column += 1

    def obey(self, final: str, numbers: list[int], *, mark: str) -> None:
        first = numbers[0] if numbers else 0
        many = max(first, 1)
        self.column = min(self.column, self.columns - 1) if final != "m" else self.column
        match final:
            case "A":
                self.row = max(0, self.row - many)
            case "B":
                self.row = min(self.rows - 1, self.row + many)
            case "C":
                self.column = min(self.columns - 1, self.column + many)
            case "D":
                self.column = max(0, self.column - many)
            case "G":
                self.column = many - 1
            case "H" | "f":
                self.row, self.column = many - 1, (numbers[1] if len(numbers) > 1 else 1) - 1
            case "J":
                self._erase_line(self.column, self.columns)
                self.grid[self.row + 1 :] = [[" "] * self.columns for _ in range(self.rows - self.row - 1)]
            case "K":
                self._erase_line(0 if first else self.column, self.column + 1 if first == 1 else self.columns)
            case "m":
                self.coloured = self.coloured or any(30 <= n <= 37 or n == 38 or 90 <= n <= 97 for n in numbers)
            case "h" | "l" if mark == "?" and first == 7:
                self.wraps = final == "h"

    def _erase_line(self, start: int, end: int) -> None:
        self.grid[self.row][start:end] = [" "] * (end - start)

    def _line_feed(self) -> None:
        if self.row < self.rows - 1:
            self.row += 1
            return
        self.gone.append("".join(self.grid.pop(0)).rstrip())
        self.grid.append([" "] * self.columns)


class Terminal:
    """Runs a program on a terminal of its own; ends it when the block ends."""

    def __init__(
        self,
        program: Sequence[str],
        *,
        columns: int = 100,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.screen = Screen(columns=columns, rows=rows)
        self.raw = ""
        self._pending = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            program,
            stdin=child,
            stdout=child,
            stderr=child,
            cwd=folder,
            env={**plain, "TERM": "xterm", **(environment or {})},
            preexec_fn=_own_terminal,
        )
        os.close(child)

    @property
    def text(self) -> str:
        """What is on the screen, and what scrolled out of it."""
        return self.screen.text

    def send(self, keys: str) -> None:
        os.write(self._parent, keys.encode())

    def wait_for(self, text: str, *, times: int = 1, seconds: float = 60) -> str:
        """Wait until `text` stands on the screen (`times` times); returns everything shown."""
        return self.wait_until(lambda shown: shown.count(text) >= times, what=repr(text), seconds=seconds)

    def wait_until(self, is_so: Callable[[str], bool], *, what: str, seconds: float = 60) -> str:
        """Wait until something holds of everything shown; returns that. Fails when it never does."""
        end = time.monotonic() + seconds
        while not is_so(self.text):
            assert time.monotonic() < end, f"waited in vain for {what}; the screen:\n{self.text}"
            if not self._read():
                assert is_so(self.text), f"ended without {what}; the screen:\n{self.text}"
        return self.text

    def wait_until_it_ends(self, *, seconds: float = 60) -> int:
        """The exit code; fails when the program does not end in time."""
        end = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < end, f"it does not end; the screen:\n{self.text}"
        return self.process.wait(timeout=max(1.0, end - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._parent)

    def _read(self) -> bool:
        """Take in what came within a moment; False when the program has closed its terminal."""
        ready, _, _ = select.select([self._parent], [], [], 0.05)
        if not ready:
            return True
        piece = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            piece = os.read(self._parent, 65536)
        text = self._decoder.decode(piece)
        self.raw += text
        self._show(self._pending + text)
        return bool(piece)

    def _show(self, text: str) -> None:
        place = 0
        while place < len(text):
            if text[place] != "\x1b":
                self.screen.put(text[place])
                place += 1
            elif found := SEQUENCE.match(text, place):
                self._obey(found)
                place = found.end()
            elif INCOMPLETE.match(text, place):
                break
            else:
                raise AssertionError(
                    f"an escape sequence that this terminal does not know: {text[place : place + 12]!r}"
                )
        self._pending = text[place:]

    def _obey(self, found: re.Match[str]) -> None:
        if found["osc"] is not None:
            self.screen.titles.append(found["osc"])
        elif found["final"] == "n":  # where is the cursor?
            self.send(f"\x1b[{self.screen.row + 1};{min(self.screen.column, self.screen.columns - 1) + 1}R")
        elif found["final"]:
            numbers = [int(number or 0) for number in found["numbers"].split(";")] if found["numbers"] else []
            self.screen.obey(found["final"], numbers, mark=found["mark"])


def _own_terminal() -> None:
    """The new process leads a session of its own with this terminal, so that Ctrl-C on it is a signal."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
