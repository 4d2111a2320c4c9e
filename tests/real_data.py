"""Where real public data lies for the tests that want some; the suite is whole without it.

`real_data("codealpaca")` is a folder of it; `needs_real_data` skips a test, with the reason, where there is none.
"""

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "DEMIURGIC_DATA"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
REASON = f"no real data: set {VARIABLE} to a folder of it, or lay it in {BESIDE}"
PAIR = (("instruction", "output"), ("instruction", "response"), ("question", "answer"), ("question", "ground_truth"))
"""How the sets call what is asked and what is answered."""


def data_folder() -> Path | None:
    """The folder of real data, or None. A variable that names no folder is a mistake and is not passed over."""
    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise AssertionError(f"{VARIABLE} names {named}, and that is no folder")
        return Path(named)
    return BESIDE if BESIDE.is_dir() else None


def real_data(name: str = "") -> Path:
    """A folder or file of the real data; skips the test where it is not there."""
    folder = data_folder()
    if folder is None:
        pytest.skip(REASON)
    if not (folder / name).exists():
        pytest.skip(f"{folder} has no {name}")
    return folder / name


needs_real_data = pytest.mark.skipif(data_folder() is None, reason=REASON)


def records(name: str, *, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list or JSONL file, or of all such files under a folder, in order of name."""
    path = real_data(name)
    paths = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in (".json", ".jsonl"))
    return islice((record for file in paths for record in _of_file(file)), limit)


def _of_file(path: Path) -> Iterator[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        yield from (json.loads(line) for line in text.split("\n") if line.strip())
        return
    yield from json.loads(text)


def pairs(name: str, *, limit: int | None = None) -> Iterator[tuple[str, str]]:
    """What each record asks and answers, where it is of a form with one of each."""
    for record in records(name, limit=limit):
        for asks, answers in PAIR:
            if asks in record and answers in record:
                prompt = "\n".join(part for part in (record[asks], record.get("input") or "") if part)
                yield prompt, str(record[answers])
                break
