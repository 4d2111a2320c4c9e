"""The training log: one JSON object per line, one line per optimizer step and per evaluation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON

LOG = "log.jsonl"


def last_step(path: Path) -> dict[str, Any]:
    """The line of the last optimizer step."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found: dict[str, Any] = next(line for line in reversed(lines) if "total" in line)
    return found


class TrainLog:
    """Appends lines to a file; each is in the file when `write` returns. Used as a context manager."""

    def __init__(self, path: Path, *, step: int, evaluated_step: int) -> None:
        """Drops what an interrupted run wrote after the checkpoint it goes on from, so that no line appears twice.

        The checkpoint holds the training up to `step` and the evaluations up to `evaluated_step`.
        """
        self._path = path
        self._last_step = {False: step, True: evaluated_step}
        self._file: TextIO | None = None

    def __enter__(self) -> "TrainLog":
        kept = []
        if self._path.exists():
            # a kill may have cut the last line; one that ends is whole, since a line is one write
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line[-1] == "\n" and self._keeps(json.loads(line))]
        write_text(self._path, "".join(kept))
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        return self

    def _keeps(self, line: Mapping[str, Any]) -> bool:
        return bool(line["step"] <= self._last_step["held_out" in line])

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, line: Mapping[str, JSON]) -> None:
        if self._file is None:
            raise AssertionError("the log is not open")
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
