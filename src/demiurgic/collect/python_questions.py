"""Turns Python source into rows that ask for code and answer with the real text. Knows nothing of where files lie.

Three kinds of question about one function or class:

    write      its header and docstring  ->  its body
    complete   its first lines           ->  the rest
    explain    its code, docstring taken out  ->  the docstring

For `write` and `complete` the `prefix` in a row's meta, with the answer appended, is the whole definition.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from demiurgic.collect.python_functions import Definition, definitions
from demiurgic.collect.sources import BadRow
from demiurgic.core.files.records import RAW_LIMIT
from demiurgic.core.records import Message, Row
from demiurgic.core.seeds import share_of

Kind = Literal["write", "complete", "explain"]
KINDS: tuple[Kind, ...] = ("write", "complete", "explain")

MIN_CHARACTERS = 80
MAX_CHARACTERS = 6000
"""Definitions shorter are mostly `pass`; longer ones are rare (2 % of the standard library) and many windows long."""


@dataclass(frozen=True, slots=True)
class PythonFile:
    """A file to ask about. `path` is relative, with forward slashes: it stands in ids and meta."""

    path: str
    text: str
    source: str
    license: str

    @property
    def module(self) -> str:
        """The dotted name it would be imported by from the folder that `path` starts in."""
        parts = self.path.removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def ask(
    file: PythonFile,
    *,
    kinds: Collection[Kind] = KINDS,
    min_characters: int = MIN_CHARACTERS,
    max_characters: int = MAX_CHARACTERS,
) -> Iterator[Row | BadRow]:
    """Rows about every definition of `min_characters` to `max_characters`; one BadRow when the file is not Python."""
    try:
        found = list(definitions(file.text))
    except SyntaxError as error:
        line = error.lineno or 1
        raw = "\n".join(file.text.split("\n")[line - 1 : line])
        yield BadRow(file.path, line, f"not Python: {error.msg}", raw[:RAW_LIMIT])
        return
    for definition in found:
        if min_characters <= len(definition.source) <= max_characters:
            for kind in KINDS:
                if kind in kinds and (question := _QUESTIONS[kind](definition)):
                    yield _row(file, definition, kind=kind, question=question)


@dataclass(frozen=True, slots=True)
class _Question:
    task: str
    given: str
    answer: str
    whole: bool
    """Whether `given + answer` is the whole definition."""


def _write(definition: Definition) -> _Question | None:
    if definition.docstring is None or definition.body is None:
        return None
    return _cut(definition, definition.body, task="Write the body of this Python {}:")


def _complete(definition: Definition) -> _Question | None:
    if definition.body is None:
        return None
    lines = definition.lines
    borders = [i for i in range(definition.body, len(lines)) if lines[i].strip()]
    if definition.docstring:
        borders = borders[1:]  # the first one is the question of `write`
    if not borders:
        return None
    # By the text alone: copies of a function in several modules are cut alike, and found as duplicates.
    border = borders[int(share_of(definition.source) * len(borders))]
    return _cut(definition, border, task="Complete this Python {}:")


def _cut(definition: Definition, border: int, *, task: str) -> _Question:
    given = "".join(f"{line}\n" for line in definition.lines[:border])
    return _Question(task, given, "\n".join(definition.lines[border:]), whole=True)


def _explain(definition: Definition) -> _Question | None:
    if definition.docstring is None or definition.body is None or not definition.explanation:
        return None
    code = definition.lines[: definition.docstring[0]] + definition.lines[definition.body :]
    return _Question("Explain this Python {}:", "\n".join(code), definition.explanation, whole=False)


_QUESTIONS = {"write": _write, "complete": _complete, "explain": _explain}


def _row(file: PythonFile, definition: Definition, *, kind: Kind, question: _Question) -> Row:
    task = question.task.format("class" if definition.is_class else "function")
    meta = {"module": file.module, "file": file.path, "line": definition.line, "name": definition.name, "kind": kind}
    if question.whole:
        meta["prefix"] = question.given
    return Row(
        id=f"{file.source}:{file.path}:{definition.line}:{kind}",
        messages=(Message("user", f"{task}\n{question.given}"), Message("assistant", question.answer)),
        source=file.source,
        license=file.license,
        domain="code",
        meta=json.dumps(meta, ensure_ascii=False, sort_keys=True),
    )
