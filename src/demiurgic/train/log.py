"""The training log: one JSON object per line, one line per optimizer step and per evaluation."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from demiurgic.core.errors import UserError
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

        The checkpoint holds the training up to `step` and the evaluations up to `evaluated_step`. Entering raises
        UserError when the log does not have each of these steps once.
        """
        self._path = path
        self._last_step = {False: step, True: evaluated_step}
        self._file: TextIO | None = None

    def __enter__(self) -> "TrainLog":
        kept = [line for line in _whole_lines(self._path) if self._keeps(line)]
        self._refuse_gaps([line["step"] for line in kept if "held_out" not in line])
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = self._path.open("a", encoding="utf-8", buffering=1)
        return self

    def _keeps(self, line: Mapping[str, Any]) -> bool:
        return bool(line["step"] <= self._last_step["held_out" in line])

    def _refuse_gaps(self, found: list[int]) -> None:
        wanted = list(range(1, self._last_step[False] + 1))
        if found == wanted:
            return
        lost = sorted(set(wanted) - set(found))
        wrong = f"lacks step {lost[0]} ({len(lost)} in all)" if lost else "has its steps twice or out of order"
        raise UserError(
            f"{self._path} {wrong}; the checkpoint beside it goes on after step {wanted[-1]}. "
            f"Delete the folder {self._path.parent} to start this training again."
        )

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, line: Mapping[str, JSON]) -> None:
        self._opened().write(json.dumps(line, allow_nan=False) + "\n")

    def sync(self) -> None:
        """Return when every line is on the disk, as a power cut would leave it."""
        file = self._opened()
        file.flush()
        os.fsync(file.fileno())

    def _opened(self) -> TextIO:
        if self._file is None:
            raise AssertionError("the log is not open")
        return self._file


class NoLog:
    """The log of a process that writes none."""

    def __enter__(self) -> "NoLog":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def write(self, line: Mapping[str, JSON]) -> None:
        del line

    def sync(self) -> None:
        pass


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines up to the first that a kill or a power cut left unfinished."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            found = json.loads(line)
        except ValueError:
            return
        if line[-1:] != b"\n":
            return
        yield found
