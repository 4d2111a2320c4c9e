"""Large arrays: in memory as long as the limit allows, and beyond it as files that the system pages in and out.

Knows nothing of what they hold. Where an array lies never changes a result.
"""

import mmap
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, final

from demiurgic.core.errors import UserError

if TYPE_CHECKING:
    import numpy as np

SMALLEST_FILE_BYTES = 1 << 16
"""Smaller arrays stay in memory: a page table entry and a file handle cost more than they save."""


LARGE_PAGE_BYTES = 1 << 21
LARGE_PAGES_FROM_BYTES = 1 << 22


def zeros(shape: int | tuple[int, ...], dtype: Any) -> "np.ndarray[Any, np.dtype[Any]]":
    """In pages of 2 MB where the system has them: what is looked up at random is found twice as fast in these."""
    import numpy as np

    num_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if num_bytes < LARGE_PAGES_FROM_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.zeros(shape, dtype)
    # Room to begin at a whole large page: what lies before the first comes in pages of 4 kB.
    memory = mmap.mmap(-1, num_bytes + LARGE_PAGE_BYTES)
    memory.madvise(mmap.MADV_HUGEPAGE)
    whole = np.frombuffer(memory, np.uint8)
    start = -whole.ctypes.data % LARGE_PAGE_BYTES
    made: np.ndarray[Any, np.dtype[Any]] = whole[start : start + num_bytes].view(dtype).reshape(shape)
    return made


def _reserve(path: Path, num_bytes: int) -> None:
    """Make a file of zeros whose place on the disk is taken: a page that finds none later would end the process."""
    with path.open("wb") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, num_bytes)
            else:
                file.truncate(num_bytes)
        except OSError as error:
            raise UserError(
                f"{path.parent} has no room for {num_bytes / 1e6:,.0f} MB of working data ({error.strerror}). Free "
                "some space, or allow more memory."
            ) from error


@dataclass(frozen=True)
class _Held:
    """An array given out, kept so that no other comes to have its `id`."""

    array: "np.ndarray[Any, np.dtype[Any]]"
    num_bytes: int
    path: Path | None


@final
class Workspace:
    """Gives arrays until `memory_bytes` are given out, then arrays over files in `folder`, which must exist.

    Safe to use from several threads. `close`, or leaving the `with` block, removes the files; arrays given are not to
    be used after it.
    """

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self.folder = folder
        self.memory_bytes = memory_bytes
        self._held: dict[int, _Held] = {}
        self._in_memory_bytes = 0
        self._on_disk_bytes = 0
        self._num_files = 0
        self._lock = threading.Lock()

    def array(self, name: str, shape: int | tuple[int, ...], dtype: Any) -> "np.ndarray[Any, np.dtype[Any]]":
        """An array of zeros. `name` is the file's, should it become one, and need not be unique.

        Raises UserError when the disk has no room for it.
        """
        import numpy as np

        num_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        path = self._claim(name, num_bytes)
        if path is None:
            made = zeros(shape, dtype)
        else:
            _reserve(path, num_bytes)
            made = np.memmap(path, dtype, "r+", shape=shape).view(np.ndarray)
        with self._lock:
            self._held[id(made)] = _Held(made, num_bytes, path)
        return made

    def grown(
        self, array: "np.ndarray[Any, np.dtype[Any]]", length: int, *, name: str
    ) -> "np.ndarray[Any, np.dtype[Any]]":
        """The array with its first axis at least `length` long, zeros added; the one given is not to be used again."""
        if length <= len(array):
            return array
        larger = self.array(name, (max(length, 2 * len(array)), *array.shape[1:]), array.dtype)
        larger[: len(array)] = array
        self.release(array)
        return larger

    def release(self, *arrays: "np.ndarray[Any, np.dtype[Any]]") -> None:
        """Give arrays back: their memory counts no more, and their files go."""
        for array in arrays:
            with self._lock:
                held = self._held.pop(id(array))
                self._in_memory_bytes -= held.num_bytes if held.path is None else 0
                self._on_disk_bytes -= 0 if held.path is None else held.num_bytes
            if held.path is not None:
                held.path.unlink()

    def _claim(self, name: str, num_bytes: int) -> Path | None:
        """Where an array goes: a new file, or (None) memory."""
        with self._lock:
            in_memory = num_bytes < SMALLEST_FILE_BYTES or self._in_memory_bytes + num_bytes <= self.memory_bytes
            self._in_memory_bytes += num_bytes if in_memory else 0
            self._on_disk_bytes += 0 if in_memory else num_bytes
            self._num_files += not in_memory
            return None if in_memory else self.folder / f"{name}-{self._num_files}.bin"

    @property
    def in_memory_bytes(self) -> int:
        return self._in_memory_bytes

    @property
    def on_disk_bytes(self) -> int:
        return self._on_disk_bytes

    def close(self) -> None:
        with self._lock:
            paths = [held.path for held in self._held.values() if held.path is not None]
            self._held.clear()
            self._in_memory_bytes = self._on_disk_bytes = 0
        for path in paths:
            path.unlink()

    def __enter__(self) -> "Workspace":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
