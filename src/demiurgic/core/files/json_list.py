"""One list of records in a JSON file, read as a stream. Where the list is broken, the records around it are kept.

A record that cannot be read ends where the next one plainly begins: at an object that opens with a key that records of
this file open with, has every key that all of them had, and reads to its end. What lies between is one malformed
record: nobody can say how many it was. Knows nothing of rows.
"""

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, final

from demiurgic.core.errors import UserError
from demiurgic.core.files.records import BREAKS_OFF, NOT_UTF8, Malformed, Record, readable

CHUNK_BYTES = 1 << 20
MARGIN = 16
"""An error so near to the end of what was read may be the end's own fault: `\\uD83D`, `tru`."""
SPACE = re.compile(r"[ \t\n\r]*")
OPENING = re.compile(r'\{[ \t\n\r]*("(?:[^"\\]|\\.){0,200}")[ \t\n\r]*:')
STRAY = re.compile("[\udc80-\udcff]")
DECODER = json.JSONDecoder()


class _Value(NamedTuple):
    value: Any
    end: int
    error: str | None = None


@final
class _Text:
    """A window over the text of a file: `text` from `at` on is what is to be read."""

    def __init__(self, file: io.BufferedReader) -> None:
        encoding = json.detect_encoding(file.peek(4)[:4])
        escape = "surrogateescape" if encoding.startswith("utf-8") else "strict"
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)(escape)
        self.text, self.at, self.ended = "", 0, False

    def more(self) -> bool:
        """Read on, at least as much as there is: a long record is not begun anew too often. False at the end."""
        if self.ended:
            return False
        data = self._file.read(max(CHUNK_BYTES, len(self.text) - self.at))
        self.ended = not data
        self.text = self.text[self.at :] + self._decoder.decode(data, final=self.ended)
        self.at = 0
        return True

    def next(self) -> str:
        """Go to the next character that is no space, and return it; empty at the end."""
        while True:
            found = SPACE.match(self.text, self.at)
            assert found is not None
            self.at = found.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def value(self) -> _Value:
        """The value that begins here, or why none does."""
        while True:
            found = _decoded(self.text, self.at)
            # A number may go on, and an error lie in what was not read.
            near = found.end > len(self.text) - MARGIN
            if not near or not self.more():
                return found


def _decoded(text: str, at: int) -> _Value:
    try:
        return _Value(*DECODER.raw_decode(text, at))
    except json.JSONDecodeError as error:
        end = len(text) if error.msg.startswith("Unterminated string") else error.pos
        return _Value(None, end, error.msg)
    except RecursionError:
        return _Value(None, at, "nested too deeply")
    except ValueError:
        return _Value(None, at, "a number too long to read")


@final
class _Records:
    """What the records of a file have in common."""

    def __init__(self) -> None:
        self._first_keys: set[str] = set()
        self._shared: set[str] | None = None

    def learn(self, value: Any) -> None:
        if isinstance(value, dict) and value:
            self._first_keys.add(next(iter(value)))
            self._shared = set(value) if self._shared is None else self._shared & set(value)

    def learn_opening(self, text: str, at: int) -> None:
        """Of a record that cannot be read, the first key alone."""
        found = OPENING.match(text, at)
        key = _decoded(found[1], 0) if found else None
        if key and key.error is None:
            self._first_keys.add(key.value)

    def next(self, window: _Text, after: int) -> int | None:
        """Where the next record plainly begins; None when none does in what was read."""
        for found in OPENING.finditer(window.text, after):
            key = _decoded(found[1], 0)
            if key.error is None and key.value in self._first_keys and self._whole(window, found.start()):
                return found.start()
        return None

    def _whole(self, window: _Text, at: int) -> bool:
        value, end, error = _decoded(window.text, at)
        after = SPACE.match(window.text, end)
        assert after is not None
        ends = window.text[after.end() : after.end() + 1] in (",", "]", "{", "")
        return error is None and ends and (self._shared or set()) <= set(value)


def json_list(file: io.BufferedReader, *, name: str) -> Iterator[Record | Malformed]:
    """The records of the list that a file holds. Raises UserError when it holds none."""
    window, records = _Text(file), _Records()
    try:
        _enter(window, name=name)
        position = 0
        while (found := _next(window, records, position + 1)) is not None:
            position += 1
            yield found
            if isinstance(found, Malformed) and found.rest:
                return
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not JSON: {error}. Write it in UTF-8.") from None


def _enter(window: _Text, *, name: str) -> None:
    first = window.next()
    if first != "[":
        found = window.value()
        hint = "A file with one object per line should end in .jsonl."
        if found.error is not None:
            raise UserError(f"{name} is not JSON: {found.error}. {hint}")
        raise UserError(f"{name} holds one {type(found.value).__name__}; wanted a list of objects.")
    window.at += 1


def _next(window: _Text, records: _Records, position: int) -> Record | Malformed | None:
    """The next of the list, the commas around it taken; None after its end."""
    first = window.next()
    if first == "]":
        return _after_the_list(window, position)
    if first == "":
        return Malformed(position, BREAKS_OFF, "", rest=True)
    value, end, error = window.value()
    if error is not None:
        at_the_end = window.ended and end >= len(window.text.rstrip())
        return _broken(window, records, position, reason=f"not JSON: {error}", at_the_end=at_the_end)
    raw, window.at = window.text[window.at : end], end
    if window.next() == ",":
        window.at += 1
    if not raw.isascii() and STRAY.search(raw):
        return Malformed(position, NOT_UTF8, readable(raw))
    records.learn(value)
    return Record(position, value)


def _broken(window: _Text, records: _Records, position: int, *, reason: str, at_the_end: bool) -> Malformed:
    """One malformed record, as far as to where the next one begins."""
    records.learn_opening(window.text, window.at)
    while (start := records.next(window, window.at + 1)) is None:
        if not window.more():
            raw, window.at = window.text[window.at :], len(window.text)
            alone = raw.rstrip().endswith("]") and raw.count("{") <= 1  # the last of the list
            return Malformed(position, BREAKS_OFF if at_the_end else reason, readable(raw), rest=not alone)
    raw, window.at = window.text[window.at : start], start
    return Malformed(position, reason, readable(raw))


def _after_the_list(window: _Text, position: int) -> Malformed | None:
    window.at += 1
    if window.next() == "":
        return None
    raw = window.text[window.at :]
    return Malformed(position, "not JSON: text after the list", readable(raw), rest=True)
