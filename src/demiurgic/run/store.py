"""Finished steps on disk, found by key. A folder without `.partial` is whole; nothing else is ever trusted.

store/
  ledger.jsonl
  student-3f2a9c1d0e4b5a67/           a finished step: its parts, its evidence, manifest.json
  teacher-77c0…partial/               a step that was interrupted, or is being made
  lock                                held by the one process that may write
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TextIO

from demiurgic.core.artifacts import MANIFEST, Manifest
from demiurgic.core.console import now
from demiurgic.core.errors import UserError
from demiurgic.run.ledger import LEDGER, Ledger

PARTIAL = ".partial"
DELETED = ".deleted"
"""A folder on its way out: never resumed, never found."""
NAME_LENGTH = 100


@dataclass(frozen=True)
class Store:
    path: Path

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.path / LEDGER)

    def folder(self, step: str, key: str) -> Path:
        """Where the step's result stands, or will stand."""
        return self.find(key) or self.path / f"{folder_name(step)}-{key}"

    def partial(self, step: str, key: str) -> Path:
        """Where the step is being made."""
        return next(
            iter(sorted(self.path.glob(f"*-{key}{PARTIAL}"))), self.path / f"{folder_name(step)}-{key}{PARTIAL}"
        )

    def find(self, key: str) -> Path | None:
        """The finished step with this key, whatever it is called."""
        return next((path for path in sorted(self.path.glob(f"*-{key}")) if (path / MANIFEST).exists()), None)

    def artifacts(self) -> list[Path]:
        found = (path.parent for path in self.path.glob(f"*/{MANIFEST}"))
        return sorted(folder for folder in found if folder.suffix not in (PARTIAL, DELETED))

    def partials(self) -> list[Path]:
        return sorted(path for path in self.path.glob(f"*{PARTIAL}") if path.is_dir())

    def half_deleted(self) -> list[Path]:
        return sorted(path for path in self.path.glob(f"*{DELETED}") if path.is_dir())

    def named(self, name: str) -> Path:
        """The newest finished step called `name`, or the one with that folder name or key (4 digits or more of it)."""
        keys = [
            line["key"]
            for line in self.ledger.lines()
            if line.get("step") == name and line["event"] in ("made", "reused")
        ]
        for key in reversed(keys):
            folder = self.find(key)
            if folder:
                return folder
        by_key = name if len(name) >= 4 else "no key"
        matches = [p for p in self.artifacts() if p.name == name or p.name.rpartition("-")[2].startswith(by_key)]
        if len(matches) == 1:
            return matches[0]
        known = ", ".join(path.name for path in self.artifacts()) or "nothing"
        raise UserError(f'{self.path} holds no finished step "{name}". It holds: {known}.')

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store for writing. The lock goes with the process, however it ends.

        Raises UserError naming the holder when another process has it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UserError(
                    f"The store {self.path} is in use by {_holder(file.read())}. Wait for it to end, or give another "
                    "store with --store."
                ) from None
            _introduce(file)
            yield
            file.truncate(0)

    def in_use(self) -> bool:
        """Whether some process holds the store for writing now."""
        try:
            with (self.path / "lock").open(encoding="utf-8") as file:
                if file.read(1):  # else nobody does, and one who is about to is not to be held up
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def _introduce(file: TextIO) -> None:
    """Say who holds the lock. A full disk has no room for it, and must not keep `gc` from making some."""
    file.truncate(0)
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now(), "command": sys.argv}
    with contextlib.suppress(OSError):
        os.write(file.fileno(), json.dumps(holder).encode())


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def folder_name(step: str) -> str:
    """A step's name as a folder name that needs no quoting: `student[seed=1]` is `student.seed-1`."""
    return re.sub(r"[^A-Za-z0-9_.+-]", "-", step.replace("]", "").replace("[", "."))[:NAME_LENGTH]


def finish(partial: Path, final: Path, manifest: Manifest) -> None:
    """Make a partial folder a finished one: the manifest last, everything on the disk, then one rename."""
    from demiurgic.core.files.atomic import sync_tree

    manifest.write(partial)
    sync_tree(partial)
    partial.rename(final)


def remove(folder: Path) -> None:
    """Delete a step's folder so that a crash in between leaves neither a damaged step nor one that would be resumed."""
    gone = folder.with_name(folder.name.removesuffix(DELETED) + DELETED)
    if folder != gone:
        if gone.exists():
            shutil.rmtree(gone)
        folder.rename(gone)
    shutil.rmtree(gone)
