"""The bytes of a file, unpacked where its name ends in .gz or .zst. Knows nothing of what they say.

A packed file that is cut off gives all that can be unpacked before the cut, and says so afterwards. One that is damaged
otherwise is refused: its checksum fits the whole, so nobody can say which of its bytes are right.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast, final

from demiurgic.core.errors import UserError
from demiurgic.core.optional import require

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PACKINGS = {".gz": "gzip", ".zst": "zstd"}
CHUNK_BYTES = 1 << 20


def packing_of(name: str) -> str | None:
    """The suffix of a packed file, `.gz` or `.zst`; None for a plain one."""
    return next((suffix for suffix in PACKINGS if name.endswith(suffix)), None)


@final
class Unpacked(io.RawIOBase):
    """What is packed in `file`, up to where that is cut off: `damage` then says so, and is None before and else.

    Raises UserError for any other damage.
    """

    def __init__(self, file: BinaryIO, *, name: str, suffix: str) -> None:
        super().__init__()
        self.damage: str | None = None
        self._name, self._packing = name, PACKINGS[suffix]
        self._unpack = _Gzip(file) if suffix == ".gz" else _Zstd(file)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = b"" if self.damage else self._next(len(view))
        view[: len(data)] = data
        return len(data)

    def _next(self, limit: int) -> bytes:
        data = self._unpack.read(limit)
        if self._unpack.wrong:
            raise UserError(
                f"{self._name} is damaged or not {self._packing} ({self._unpack.wrong}): what was unpacked of it may "
                "be wrong. Fetch it again."
            )
        self.damage = self._unpack.cut_off
        return data


class _Gzip:
    """Gives nothing more once the file is `cut_off`, or what was given may be `wrong`; each says why."""

    def __init__(self, file: BinaryIO) -> None:
        self.cut_off: str | None = None
        self.wrong: str | None = None
        self._file = gzip.GzipFile(fileobj=file)

    def read(self, limit: int) -> bytes:
        try:
            # Not read: it would lose what it has unpacked when it comes to the damaged place.
            return self._file.read1(limit)
        except EOFError as error:
            self.cut_off = str(error)
        except (gzip.BadGzipFile, zlib.error) as error:
            self.wrong = str(error)
        return b""


class _Zstd:
    """As `_Gzip`; frame after frame, by Arrow."""

    def __init__(self, file: BinaryIO) -> None:
        require("pyarrow")
        self.cut_off: str | None = None
        self.wrong: str | None = None
        self._file = file
        self._start = file.tell()
        self._given_bytes = 0
        # All that were opened: Arrow closes the file under a stream that is let go.
        self._streams = [self._opened()]

    def read(self, limit: int) -> bytes:
        try:
            data: bytes = self._streams[0].read(limit)
        except OSError as error:
            if error.errno is not None:  # the disk's own
                raise
            if not str(error).startswith("Truncated"):
                self.wrong = str(error)
                return b""
            data, self.cut_off = self._up_to_the_cut(), str(error)
        self._given_bytes += len(data)
        return data

    def _opened(self) -> Any:
        import pyarrow as pa

        self._file.seek(self._start)
        return pa.CompressedInputStream(pa.PythonFile(self._file, "r"), "zstd")

    def _up_to_the_cut(self) -> bytes:
        """What the failed read had unpacked and lost: read again, byte by byte at the end."""
        stream, left = self._opened(), self._given_bytes
        self._streams.append(stream)
        while left:
            left -= len(stream.read(min(left, CHUNK_BYTES)))
        found = bytearray()
        try:
            while byte := stream.read(1):
                found += byte
        except OSError:
            pass
        return bytes(found)


@dataclass(frozen=True, slots=True)
class Bytes:
    """The bytes of a file, plain or unpacked."""

    file: "io.BufferedReader[Any]"
    packed: Unpacked | None

    @property
    def damage(self) -> str | None:
        """Why the bytes end before the file's own end, once they have ended; None where they do not."""
        return self.packed.damage if self.packed else None


@contextmanager
def unpacked(open_file: Callable[[], BinaryIO], *, name: str) -> Iterator[Bytes]:
    """The bytes of a file, unpacked as its name says. Raises UserError where nothing of it can be unpacked."""
    suffix = packing_of(name)
    with open_file() as file:
        if suffix is None:
            yield Bytes(cast("io.BufferedReader[Any]", file), None)
            return
        packed = Unpacked(file, name=name, suffix=suffix)
        with io.BufferedReader(packed, CHUNK_BYTES) as reader:
            if not reader.peek(1) and packed.damage:
                raise UserError(f"{name} is truncated or not {PACKINGS[suffix]} ({packed.damage}). Fetch it again.")
            yield Bytes(reader, packed)
