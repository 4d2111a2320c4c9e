"""A fixed input for every registered source and filter: the contract and the golden tests run on these.

Whoever adds a source or a filter adds its example here.
"""

import json
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from demiurgic.collect.public_sets import PUBLIC_SETS
from demiurgic.collect.sources import SOURCES
from demiurgic.core.records import Message, Row, ToolCall, to_batch
from demiurgic.core.registry import Choice, Entry, Registry
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, Verdict
from demiurgic.curate.judge import verdicts_of
from loopback_hub import COMMIT, loopback_hub
from tiny_rows import chat

MODULE = '''\
"""Averages."""


def mean(values):
    """The arithmetic mean of some numbers.

    Raises ZeroDivisionError for none.
    """
    total = 0
    for value in values:
        total += value
    return total / len(values)


class Mean:
    """A mean that values are added to, one by one."""

    def __init__(self):
        self.total, self.count = 0, 0

    def add(self, value):
        # Order does not matter.
        self.total += value
        self.count += 1
        return self
'''


def _files(folder: Path) -> None:
    rows = [
        {"ask": "Hi", "say": "Hello", "level": 1},
        {"ask": "Bye", "say": 5, "level": 2},
        {"ask": "Who?", "say": "Me"},
    ]
    (folder / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _code_tree(folder: Path) -> None:
    (folder / "code").mkdir()
    (folder / "code" / "mean.py").write_text(MODULE)
    (folder / "code" / "run.sh").write_text("python mean.py\n")


def _rows_of_the_hub(folder: Path) -> None:
    lines = [{"instruction": "Hi", "context": "", "response": "Hello", "category": "talk"}, {"instruction": "Hi"}]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _python_stdlib(folder: Path) -> None:
    (folder / "averages").mkdir()
    (folder / "averages" / "__init__.py").write_text(MODULE)


@dataclass(frozen=True)
class SourceExample:
    """`write` fills a folder with what the source reads, `file` is one file of it.

    With `on_hub` the folder is a dataset of a hub on the loopback, whose commit is all that a fingerprint knows.
    """

    write: Callable[[Path], None]
    file: str
    options: Mapping[str, Any]
    on_hub: bool = False

    @contextmanager
    def in_folder(self, folder: Path) -> Iterator[Path]:
        """The written folder, which also stands for the standard library's."""
        self.write(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sysconfig, "get_path", lambda name: str(folder))
            if not self.on_hub:
                yield folder
                return
            patch.delenv("HF_TOKEN", raising=False)
            patch.setitem(PUBLIC_SETS, "dolly", replace(PUBLIC_SETS["dolly"], id="tiny/set"))  # type: ignore[arg-type]
            with loopback_hub(folder) as hub:
                patch.setenv("HF_ENDPOINT", hub.url)
                yield folder


COLUMNS = {"prompt": "ask", "answer": "say", "keep": ["level"]}
SOURCE_EXAMPLES: Mapping[str, SourceExample] = {
    "files": SourceExample(_files, "talk.jsonl", {"paths": ["*.jsonl"], "columns": COLUMNS, "license": "CC0-1.0"}),
    "code_tree": SourceExample(_code_tree, "code/mean.py", {"path": "code", "license": "MIT", "split": "functions"}),
    "hub": SourceExample(_rows_of_the_hub, "train.jsonl", {"id": "tiny/set", "revision": COMMIT}, on_hub=True),
    "public": SourceExample(_rows_of_the_hub, "train.jsonl", {"set": "dolly", "revision": COMMIT}, on_hub=True),
    "python_stdlib": SourceExample(_python_stdlib, "averages/__init__.py", {"min_characters": 40}),
}

FILTER_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "boilerplate": {},
    "code_block": {},
    "code_syntax": {},
    "decontaminate": {"files": [str(Path(__file__).with_name("toy_benchmark"))]},
    "difficulty": {"min": 0.1},
    "domain": {"keep": ["code", "creative"]},
    "drop_where": {"field": "kind", "pattern": "comp.*"},
    "fits_dialect": {},
    "keep_where": {"field": "kind", "pattern": "complete"},
    "language": {"keep": ["en", "code"]},
    "length": {"max_characters": 60},
    "min_words": {},
    "offensive": {},
    "pii": {"action": "drop", "actions": {"personal": "mask", "email": "drop"}},
    "python_syntax": {},
    "quality": {"min": 0.6},
    "refusals": {},
    "schema": {},
    "tokens": {"min": 3, "max": 60},
}

CALL = Message("assistant", "", (ToolCall("1", "add", '{"a": 1}'),))
FILTERED_ROWS = (
    chat("Hi", "Hello, how are you?", id="good"),
    chat("Hi", "", id="no answer"),
    chat("Hi", "你好吗", id="Chinese"),
    chat("Write a list.", "```python\nx = [1, 2]\n```", id="good block"),
    chat("Write a list.", "```python\nx = = [1, 2]\n```", id="bad block"),
    chat("Go on:", "    return 1", id="good end", meta='{"kind": "complete", "prefix": "def f():\\n"}'),
    chat("Go on:", "    return = 1", id="bad end", meta='{"kind": "complete", "prefix": "def f():\\n"}'),
    Row("text", text="Once upon a time."),
    Row("long text", text="word " * 100),
    Row("no text", text=""),
    Row("tools", (Message("user", "1 + 1?"), CALL, Message("tool", "2", tool_call_id="1"), Message("assistant", "2"))),
    Row("no turn", (Message("user", "Hi"), Message("user", "Hi?"), Message("assistant", "Hello"))),
)
"""Every filter keeps some of these and drops some, with its options of FILTER_OPTIONS and its rows of MORE_ROWS."""

MORE_ROWS: Mapping[str, tuple[Row, ...]] = {
    "boilerplate": (
        chat("Who won?", "This site uses cookies. Accept all cookies. Read our privacy policy.", id="banner"),
        chat("Describe a tree.", "Lorem ipsum dolor sit amet.", id="filler"),
    ),
    "code_block": (
        chat("Write a Python function that adds two numbers.", "I would add them.", id="no code"),
        chat("Write a Python function that adds two numbers.", "def add(a, b):\n    return a + b", id="code"),
    ),
    "decontaminate": (
        chat(
            "A baker fills 14 trays with 9 rolls each\nand sells 87 of them before noon.\nHow many rolls are left "
            "on the trays in the afternoon?",
            "39",
            id="test question",
        ),
        chat("Make up a sum.", "A baker fills 20 trays with 6 rolls each and sells 31. How many are left?", id="other"),
    ),
    "pii": (
        chat("Write to ann.lee@gmail.com", "Done.", id="mail"),
        chat("Call 415-867-5309", "Done.", id="phone"),
        chat("Deploy", "export API_TOKEN=4f9dKq27ZbX81mNc0RwE", id="key"),
    ),
    "offensive": (
        chat("Go on.", "I hate all immigrants.", id="hate"),
        chat("Go on.", 'He said "I hate all immigrants", and that is hate speech. ' + "It is not. " * 20, id="quoted"),
    ),
    "refusals": (
        chat("Help me.", "I'm sorry, but I can't help with that.", id="refusal"),
        chat("Help me.", "I'm sorry to hear that. Call a doctor at once.", id="help"),
    ),
}
"""What only one filter looks for, beside FILTERED_ROWS: added here, no other filter's digest changes."""


def rows_for(name: str) -> tuple[Row, ...]:
    """The rows that a filter's contract is tested on."""
    return (*FILTERED_ROWS, *MORE_ROWS.get(name, ()))


def ours(registry: Registry) -> list[Entry]:
    """What this package itself registers: installed plug-ins of other people have their own tests."""
    return [entry for entry in registry.entries().values() if entry.make.__module__.startswith("demiurgic.")]


def source(name: str) -> Choice:
    return SOURCES.choose({"use": name, **SOURCE_EXAMPLES[name].options})


def filter_(name: str) -> Choice:
    return FILTERS.choose({"use": name, **FILTER_OPTIONS[name]})


def verdicts(choice: Choice, rows: Sequence[Row]) -> list[Verdict]:
    """What a filter of either form says of rows put before it together."""
    found = verdicts_of(choice, RowBatch(to_batch(rows)))
    return [found.verdict(row) for row in range(len(rows))]
