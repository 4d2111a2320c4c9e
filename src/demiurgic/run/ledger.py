"""The append-only record of everything that happened in a store: one JSON line per step made, reused, rejected, …

Every number shown anywhere cites a line of it by its `id`. Knows nothing of what the lines mean.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from demiurgic.core.console import now
from demiurgic.core.hashing import digest_of
from demiurgic.core.metric import JSON

LEDGER = "ledger.jsonl"
Event = Literal[
    "started", "made", "reused", "judged", "rejected", "blocked", "failed", "interrupted", "revoked", "restored"
]


@dataclass(frozen=True)
class Ledger:
    path: Path

    def append(self, event: Event, fields: Mapping[str, JSON]) -> str:
        """Write one line, on the disk when this returns; gives the line's id (8 hex digits)."""
        line: dict[str, JSON] = {"time": now(), "event": event, **fields}
        line = {"id": digest_of(line)[:8], **line}
        # A crash may have left half a line: the new one must not continue it.
        gap = "\n" if self._torn() else ""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(gap + json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return str(line["id"])

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every whole line, oldest first. A line cut off by a crash is passed over; nothing was built on it."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for raw in file:
                try:
                    line = json.loads(raw)
                except ValueError:
                    continue
                if isinstance(line, dict):
                    yield line

    def num_torn(self) -> int:
        """Lines that cannot be read: what crashes (or an editor) left behind."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            return sum(1 for raw in file if raw.strip()) - sum(1 for _ in self.lines())

    def _torn(self) -> bool:
        if not self.path.exists() or self.path.stat().st_size == 0:
            return False
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
