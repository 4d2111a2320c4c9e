"""Finished steps on disk, found by key. A folder without `.partial` is whole; nothing else is ever trusted.

store/
  ledger.jsonl
  student-3f2a9c1d0e4b5a67/           a finished step: its parts, its evidence, manifest.json
  teacher-77c0…partial/               a step that was interrupted, or is being made
  lock                                held by the one process that may write
"""

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

from demiurgic.core.artifacts import MANIFEST, Manifest
from demiurgic.core.console import now
from demiurgic.core.errors import UserError
from demiurgic.run.ledger import Ledger

PARTIAL = ".partial"


@dataclass(frozen=True)
class Store:
    path: Path

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.path / "ledger.jsonl")

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
        return sorted(path.parent for path in self.path.glob(f"*/{MANIFEST}") if path.parent.suffix != PARTIAL)

    def partials(self) -> list[Path]:
        return sorted(path for path in self.path.glob(f"*{PARTIAL}") if path.is_dir())

    def named(self, name: str) -> Path:
        """The newest finished step called `name`, or the one whose key or folder name starts with it."""
        keys = [
            line["key"]
            for line in self.ledger.lines()
            if line.get("step") == name and line["event"] in ("made", "reused")
        ]
        for key in reversed(keys):
            folder = self.find(key)
            if folder:
                return folder
        matches = [p for p in self.artifacts() if p.name == name or p.name.rpartition("-")[2].startswith(name)]
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
            file.truncate(0)
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": now(), "command": sys.argv}, file)
            file.flush()
            yield
            file.truncate(0)


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def folder_name(step: str) -> str:
    """A step's name as a folder name that needs no quoting: `student[seed=1]` is `student.seed-1`."""
    return re.sub(r"[^A-Za-z0-9_.+-]", "-", step.replace("]", "").replace("[", "."))


def finish(partial: Path, final: Path, manifest: Manifest) -> None:
    """Make a partial folder a finished one: the manifest last, everything on the disk, then one rename."""
    from demiurgic.core.files.atomic import sync_tree

    manifest.write(partial)
    sync_tree(partial)
    partial.rename(final)


def remove(folder: Path) -> None:
    """Delete a step's folder so that a crash in between leaves a partial, never a damaged finished step."""
    if folder.suffix != PARTIAL:
        gone = folder.with_name(folder.name + PARTIAL)
        if gone.exists():
            shutil.rmtree(gone)
        folder.rename(gone)
        folder = gone
    shutil.rmtree(folder)
