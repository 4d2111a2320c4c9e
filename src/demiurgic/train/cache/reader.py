"""Rows of a cache, memory-mapped, each window checked whenever it is read. Knows nothing of what is in them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.core.hashing import digest_file
from demiurgic.models.windows import Windows
from demiurgic.train.cache.checksum import rows_checksum, text_checksum
from demiurgic.train.cache.facts import INDEX, CacheFacts, damaged, read_facts
from demiurgic.train.cache.layout import WORDS, Array, Rows, index_dtype

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Cache:
    """An open folder. What is small was checked when it was opened; rows are checked as they are read."""

    folder: Path
    facts: CacheFacts
    _index: "NDArray[np.void]"
    _arrays: "dict[str, NDArray[np.generic]]"

    @classmethod
    def open(cls, folder: Path) -> "Cache":
        """Raises UserError when the folder holds no cache, or a file is damaged or has another size than it should."""
        import numpy as np

        facts, digests = read_facts(folder)
        for name in facts.whole_files:
            _check(folder / name, digests.get(name))
        index = np.fromfile(folder / INDEX, index_dtype())
        num_words = int(index["words"][-1]) if index.size else 0
        arrays = {
            array.name: _mapped(folder / array.file, array, num_words if array.name == WORDS else facts.num_tokens)
            for array in facts.arrays
        }
        return cls(folder, facts, index, arrays)

    def rows(self, window: int, *, windows: Windows) -> Rows:
        """What is stored for the supervised tokens of a window of these windows.

        Raises UserError unless its text is what the rows were made for, and the rows are what was written.
        """
        text = text_checksum(windows, window)
        if window >= len(self._index) or text != self._index["text"][window].tobytes():
            raise UserError(
                f"The cache {self.folder} was not made for window {window} of {windows.folder}: its tokens, weights or "
                "documents are others. Make the cache anew for these tokens."
            )
        found = {name: array[self._span(window, name)] for name, array in self._arrays.items()}
        if rows_checksum(text, found.values()) != self._index["rows"][window].tobytes():
            raise damaged(self.folder, f"does not hold what was written for window {window}")
        return found

    def _span(self, window: int, name: str) -> slice:
        ends = self._index["words" if name == WORDS else "tokens"]
        return slice(int(ends[window - 1]) if window else 0, int(ends[window]))


def _check(path: Path, digest: str | None) -> None:
    if not path.is_file():
        raise damaged(path, "is missing")
    if digest_file(path) != digest:
        raise damaged(path, "does not have the content that was written")


def _mapped(path: Path, array: Array, num_rows: int) -> "NDArray[np.generic]":
    import numpy as np

    if not path.is_file():
        raise damaged(path, "is missing")
    size, wanted = path.stat().st_size, num_rows * array.row_bytes
    if size != wanted:
        raise damaged(path, f"has {size} bytes where {wanted} were written")
    shape = (num_rows, *array.shape)
    if not size:  # an empty file cannot be mapped
        return np.zeros(shape, array.dtype)
    mapped: NDArray[np.generic] = np.memmap(path, array.dtype, mode="r", shape=shape)
    return mapped
