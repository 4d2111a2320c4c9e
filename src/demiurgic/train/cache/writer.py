"""Appends the rows of one window after the other, and goes on from the last commit. Knows nothing of what is in them.

A commit is one small file beside the folder, written after everything it counts is on the disk; what lies behind it is
cut off when the work goes on. So a kill costs what came after the last commit, and no byte is other than without it.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.hashing import digest_file
from demiurgic.train.cache.checksum import rows_checksum
from demiurgic.train.cache.facts import INDEX, CacheFacts
from demiurgic.train.cache.layout import WORDS, Array, Rows, index_dtype


@dataclass(frozen=True)
class Commit:
    """How far a capture has come, and what it counted."""

    num_windows: int
    num_tokens: int
    num_words: int
    sizes: Mapping[str, int]
    """Of the files, in bytes."""
    counts: Mapping[str, float]

    @classmethod
    def read(cls, path: Path) -> "Commit | None":
        """None where nothing was committed."""
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def write(self, path: Path) -> None:
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")


class CacheWriter:
    """Used as a context manager, which closes the files. `commit_path` stands outside of `folder`."""

    def __init__(self, folder: Path, arrays: Sequence[Array], *, commit_path: Path) -> None:
        """Raises UserError when a file is shorter than its last commit says."""
        self.folder = folder
        self._arrays = {array.name: array for array in arrays}
        self._commit_path = commit_path
        last = Commit.read(commit_path)
        if last is None and folder.exists():
            shutil.rmtree(folder)
        last = last or Commit(0, 0, 0, {}, {})
        self.num_windows, self.num_tokens, self._num_words = last.num_windows, last.num_tokens, last.num_words
        self.counts = dict(last.counts)
        """Whatever else a commit is to hold."""
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opening:
            names = [INDEX, *(array.file for array in arrays)]
            self._files = {name: opening.enter_context(self._opened(name, last.sizes.get(name, 0))) for name in names}
            self._open_files = opening.pop_all()

    def __enter__(self) -> "CacheWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._open_files.close()

    def append(self, rows: Rows, *, text: bytes) -> None:
        """The rows of the next window, whose text has this checksum."""
        import numpy as np

        ordered = [np.ascontiguousarray(rows[name], dtype=array.dtype) for name, array in self._arrays.items()]
        for array, found in zip(self._arrays.values(), ordered, strict=True):
            assert found.shape[1:] == array.shape, f"rows of {array.name} have the shape {found.shape[1:]}"
            self._files[array.file].write(found.tobytes())
        self._num_words += len(rows[WORDS]) if WORDS in rows else 0
        self.num_tokens += len(ordered[0])  # whatever is kept, the first array has a row for each token
        self.num_windows += 1
        entry = np.zeros(1, index_dtype())
        entry["tokens"], entry["words"] = self.num_tokens, self._num_words
        entry["text"], entry["rows"] = np.void(text), np.void(rows_checksum(text, ordered))
        self._files[INDEX].write(entry.tobytes())

    def commit(self) -> None:
        """From here on, what was appended survives a kill and a power cut."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        sizes = {name: file.tell() for name, file in self._files.items()}
        Commit(self.num_windows, self.num_tokens, self._num_words, sizes, self.counts).write(self._commit_path)

    def finish(self, facts: CacheFacts) -> None:
        """Commit, and write what the folder holds; it is whole from then on."""
        self.commit()
        facts.write(self.folder, digests={name: digest_file(self.folder / name) for name in facts.whole_files})

    def _opened(self, name: str, size: int) -> BinaryIO:
        """A file cut to `size`, at its end."""
        path = self.folder / name
        path.touch()
        if path.stat().st_size < size:
            raise UserError(
                f"{path} has {path.stat().st_size} bytes where {size} were written. Delete {self.folder.parent} to "
                "start the capture again."
            )
        file = path.open("r+b")
        file.truncate(size)
        file.seek(size)
        return file
