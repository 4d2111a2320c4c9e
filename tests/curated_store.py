"""A store with one curated step, written by hand: rows that stayed, rows that went, duplicates with their witness."""

import json
from pathlib import Path

from demiurgic.core.records import Message, Row, RowWriter
from demiurgic.run.store import Store
from written_store import WrittenStore


def talk(id: str, asked: str, answered: str, *, source: str = "alpaca", quality: float = 0.9, **dropped: object) -> Row:
    meta = json.dumps({"dropped": dropped}) if dropped else "{}"
    said = (Message("user", asked), Message("assistant", answered))
    return Row(id, messages=said, source=source, scores={"quality": quality}, domain="code", meta=meta)


KEPT = [
    talk("alpaca:1", "How do I sort a list?", "Call sorted on it and keep what it returns."),
    talk("alpaca:2", "What is a tuple?", "A list that cannot be changed.", quality=0.3),
    talk("dolly:1", "Name a river.", "The Rhine.", source="dolly"),
]
DROPPED = [
    talk(
        *("copy:1", "How do I sort a list?", "Call sorted on it and keep what it gives."),
        source="copy",
        reason="near duplicate",
        evidence="",
        witness="alpaca:1",
        similarity=0.875,
        key="pair",
    ),
    talk(
        *("copy:2", "How do I sort a list??", "Call sorted on it and keep what it returns."),
        source="copy",
        reason="near duplicate",
        evidence="",
        witness="alpaca:1",
        similarity=1.0,
        key="pair",
    ),
    talk("alpaca:3", "Hi", "", reason="length: answer too short", evidence="0 characters, wanted at least 1"),
    talk("alpaca:4", "Mail me", "at anna@corp.org", reason="pii: e-mail", evidence="e-mail in message 2"),
]
OF_EARLIER = talk("copy:9", "Old?", "Old.", reason="near duplicate", evidence="", witness="last year:7", similarity=0.9)


def curated_store(folder: Path) -> Store:
    written = WrittenStore(folder / "store", recipe="mix")
    for part, rows in {"train": KEPT, "dropped": [*DROPPED, OF_EARLIER]}.items():
        with RowWriter(folder / part) as writer:
            for row in rows:
                writer.write(row)
    written.start("clean")
    written.made(
        "clean",
        "curate",
        metrics={"rows_in": 8, "train": 3, "dropped": 5},
        facts={
            "dropped": {
                "alpaca": {"length: answer too short": 1, "pii: e-mail": 1},
                "copy": {"near duplicate": 2},
                "last": {"near duplicate": 1},
            }
        },
        parts={"train": "dataset", "dropped": "dataset"},
        files={"train": folder / "train", "dropped": folder / "dropped"},
    )
    return written.store
