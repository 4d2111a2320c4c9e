"""Which processes are asking right now: a lock beside the journal that dies with its process. Knows no answers.

A process number would not do: it is used again, and means nothing outside its container.
"""

import contextlib
import fcntl
import os
from pathlib import Path


class Session:
    """One process (or one opening of the journal) that asks. It lives until `close`, or until its process dies."""

    def __init__(self, journal: Path, number: int) -> None:
        self.number = number
        self._path = _lock_file(journal, number)
        _sweep(journal)
        self._handle = _locked_file(self._path)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._handle)

    @staticmethod
    def lives(journal: Path, number: int) -> bool:
        """Whether the process of that session is still there."""
        try:
            handle = os.open(_lock_file(journal, number), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(handle)
        finally:
            os.close(handle)


def _lock_file(journal: Path, number: int) -> Path:
    return journal.with_name(f"{journal.name}-asking-{number}")


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locked_file(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Between the two lines above another process may have swept the file away.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)


def _sweep(journal: Path) -> None:
    """Delete what killed processes left."""
    for path in journal.parent.glob(f"{journal.name}-asking-*"):
        try:
            handle = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        if _try_lock(handle):
            path.unlink(missing_ok=True)
        os.close(handle)
