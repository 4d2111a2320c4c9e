"""The real rows of a folder of public data, as questions and answers: read simply, whatever their format.

Knows no schema: a record is used where it says what is asked and what is answered. `../shared/data` or DEMIURGIC_DATA.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ASKS, ANSWERS = ("instruction", "question"), ("output", "response", "answer", "ground_truth")
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
LEFT_OUT = ("benchmarks", "langid", "tau_bench")
"""Test questions, sentences that are no rows, and trajectories in another form."""


@dataclass(frozen=True)
class Pair:
    source: str
    asks: str
    answers: str

    @property
    def text(self) -> str:
        return f"{self.asks}\n{self.answers}"


def data_folder(given: Path | None) -> Path:
    """Raises SystemExit where there is none."""
    folder = given or Path(os.environ.get("DEMIURGIC_DATA", BESIDE))
    if not folder.is_dir():
        raise SystemExit(f"{folder} is no folder; name one of public data by --data or DEMIURGIC_DATA.")
    return folder


def real_pairs(folder: Path) -> list[Pair]:
    """All rows, in order of their files' names."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".jsonl"))
    return [pair for path in paths if path.relative_to(folder).parts[0] not in LEFT_OUT for pair in _of_file(path)]


def _of_file(path: Path) -> Iterator[Pair]:
    text = path.read_text(encoding="utf-8")
    records = map(json.loads, filter(str.strip, text.split("\n"))) if path.suffix == ".jsonl" else json.loads(text)
    for record in records:
        yield from _of_record(record, path.parent.name)


def _of_record(record: dict[str, Any], source: str) -> Iterator[Pair]:
    if "chosen" in record:
        for side in ("chosen", "rejected"):
            asks, _, answers = record[side].rpartition("\n\nAssistant:")
            yield Pair(source, asks, answers)
    asks = next((record[name] for name in ASKS if record.get(name)), None)
    answers = next((record[name] for name in ANSWERS if record.get(name)), None)
    if asks is not None and answers is not None:
        yield Pair(source, "\n".join(part for part in (asks, record.get("input") or "") if part), str(answers))
