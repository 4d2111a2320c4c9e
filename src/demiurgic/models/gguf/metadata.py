"""What a GGUF file says of itself: its metadata and the shapes of its tensors, read without the tensors.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3). Knows no architecture.
"""

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demiurgic.core.errors import UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
STRING, ARRAY = 8, 9
FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Type number -> how `struct` calls it."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The head of a file."""

    fields: Mapping[str, Any]
    """Key -> number, string, or list of them."""
    shapes: Mapping[str, tuple[int, ...]]
    """Tensor name -> its shape, the fastest dimension first."""

    @property
    def architecture(self) -> str:
        return str(self.fields.get("general.architecture", ""))

    @property
    def num_parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())

    def own(self, name: str) -> Any:
        """A field of the file's architecture (`context_length` of `llama.context_length`); None when it has none."""
        return self.fields.get(f"{self.architecture}.{name}")


def read_metadata(file: Path) -> Metadata:
    """The head of a GGUF file. Raises UserError for a file that is none, or that ends before its head does."""
    if not file.is_file():
        raise UserError(f"{file} is no file. Point to a GGUF file.")
    if file.stat().st_size < len(MAGIC):
        raise UserError(f"{file} is no GGUF file: it has {file.stat().st_size} bytes. Copy or export it again.")
    with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view:
        if view[:4] != MAGIC:
            raise UserError(f"{file} is no GGUF file: it begins with {view[:4]!r}, not {MAGIC!r}. Name a GGUF file.")
        try:
            return _Reader(view).metadata()
        except (struct.error, IndexError, KeyError, UnicodeDecodeError, ValueError) as error:
            raise UserError(
                f"{file} is damaged: its head cannot be read ({type(error).__name__}: {error}). "
                "Copy or export it again."
            ) from None


class _Reader:
    """Walks through the bytes of a head."""

    def __init__(self, view: mmap.mmap) -> None:
        self._view = view
        self._position = len(MAGIC)

    def metadata(self) -> Metadata:
        version = self._number("I")
        if version not in VERSIONS:
            raise ValueError(f"GGUF version {version}; known: {', '.join(map(str, VERSIONS))}")
        num_tensors, num_fields = self._number("Q"), self._number("Q")
        fields = {self._string(): self._value(self._number("I")) for _ in range(num_fields)}
        return Metadata(fields, dict(self._tensor() for _ in range(num_tensors)))

    def _tensor(self) -> tuple[str, tuple[int, ...]]:
        name = self._string()
        shape = tuple(self._number("Q") for _ in range(self._number("I")))
        self._number("I")  # its type
        self._number("Q")  # where its data begin
        return name, shape

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind != ARRAY:
            return self._number(FORMATS[kind])
        kind, count = self._number("I"), self._number("Q")
        if kind in (STRING, ARRAY):
            return [self._value(kind) for _ in range(count)]
        return self._numbers(FORMATS[kind], count)

    def _number(self, format: str) -> Any:
        return self._numbers(format, 1)[0]

    def _numbers(self, format: str, count: int) -> list[Any]:
        size = count * struct.calcsize(format)
        if size > len(self._view) - self._position:
            raise IndexError("the file ends too early")
        values = list(struct.unpack_from(f"<{count}{format}", self._view, self._position))
        self._position += size
        return values

    def _string(self) -> str:
        (size,) = struct.unpack_from("<Q", self._view, self._position)
        start = self._position + 8
        self._position = start + size
        if self._position > len(self._view):
            raise IndexError("the file ends too early")
        return self._view[start : self._position].decode()
