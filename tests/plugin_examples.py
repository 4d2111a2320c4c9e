"""A fixed input for every registered source and filter: the contract and the golden tests run on these.

Whoever adds a source or a filter adds its example here.
"""

import json
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demiurgic.collect.sources import SOURCES
from demiurgic.core.records import Message, Row, ToolCall
from demiurgic.core.registry import Choice, Entry, Registry
from demiurgic.curate.filters import FILTERS
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


def _python_stdlib(folder: Path) -> None:
    (folder / "averages").mkdir()
    (folder / "averages" / "__init__.py").write_text(MODULE)


@dataclass(frozen=True)
class SourceExample:
    """`write` fills a folder with what the source reads, `file` is one file of it."""

    write: Callable[[Path], None]
    file: str
    options: Mapping[str, Any]

    @contextmanager
    def in_folder(self, folder: Path) -> Iterator[Path]:
        """The written folder, which also stands for the standard library's."""
        self.write(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sysconfig, "get_path", lambda name: str(folder))
            yield folder


COLUMNS = {"prompt": "ask", "answer": "say", "keep": ["level"]}
SOURCE_EXAMPLES: Mapping[str, SourceExample] = {
    "files": SourceExample(_files, "talk.jsonl", {"paths": ["*.jsonl"], "columns": COLUMNS, "license": "CC0-1.0"}),
    "code_tree": SourceExample(_code_tree, "code/mean.py", {"path": "code", "license": "MIT", "split": "functions"}),
    "python_stdlib": SourceExample(_python_stdlib, "averages/__init__.py", {"min_characters": 40}),
}

FILTER_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "drop_where": {"field": "kind", "pattern": "comp.*"},
    "fits_dialect": {},
    "keep_where": {"field": "kind", "pattern": "complete"},
    "length": {"max_characters": 60},
    "min_words": {},
    "python_syntax": {},
    "schema": {},
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
"""Every filter keeps some of these and drops some, with its options of FILTER_OPTIONS."""


def ours(registry: Registry) -> list[Entry]:
    """What this package itself registers: installed plug-ins of other people have their own tests."""
    return [entry for entry in registry.entries().values() if entry.make.__module__.startswith("demiurgic.")]


def source(name: str) -> Choice:
    return SOURCES.choose({"use": name, **SOURCE_EXAMPLES[name].options})


def filter_(name: str) -> Choice:
    return FILTERS.choose({"use": name, **FILTER_OPTIONS[name]})
