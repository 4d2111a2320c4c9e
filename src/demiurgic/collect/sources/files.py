"""Rows out of files that people have: jsonl, json, csv, parquet, plain or gzipped; our own schema or named columns."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from demiurgic.collect.paths import find_files
from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.core.errors import UserError
from demiurgic.core.files.readers import RAW_LIMIT, Malformed, Record, read_records
from demiurgic.core.hashing import digest_file
from demiurgic.core.metric import JSON
from demiurgic.core.records import Row, RowError, read_row

USUAL_NAMES = {
    "prompt": ("prompt", "instruction", "question", "input", "query"),
    "answer": ("answer", "output", "response", "completion", "solution"),
    "text": ("content", "body", "document"),
}
"""What columns are often called: only ever suggested, never taken."""


class Columns(BaseModel):
    """Which columns hold what: `prompt` and `answer` (and `system`), or `text`.

    Several columns of a prompt are joined by an empty line, empty ones left out. `keep` names columns that go into the
    row's meta; all others are left behind.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str | tuple[str, ...] = ()
    answer: str | None = None
    system: str | None = None
    text: str | None = None
    keep: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        conversation = bool(self.prompt) and self.answer is not None
        part_of_one = bool(self.prompt or self.answer or self.system)
        if (part_of_one and not conversation) or part_of_one == (self.text is not None):
            raise ValueError("wants prompt and answer (and perhaps system), or text alone")
        return self

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt,) if isinstance(self.prompt, str) else self.prompt

    @property
    def named(self) -> tuple[str, ...]:
        names = (*self.prompts, self.answer, self.system, self.text, *self.keep)
        return tuple(name for name in names if name is not None)


def _fingerprint(base: Path, *, paths: list[str], **_options: object) -> JSON:
    return {name: digest_file(path) for name, path in find_files(paths, base=base).items()}


@SOURCES.register("files", fingerprint=_fingerprint)
def files(
    base: Path, *, paths: list[str], columns: Columns | None = None, license: str = "", domain: str = ""
) -> Iterator[Row | BadRow]:
    """Rows of jsonl, json, csv and parquet files, in this package's schema or by `columns`.

    `license` and `domain` stand in where a row names none.
    """
    for name, path in find_files(paths, base=base).items():
        fits, misfit = False, None
        for record in read_records(path):
            if isinstance(record, Malformed):
                yield BadRow(name, record.position, record.reason, record.raw)
                continue
            try:
                row = _row(record, name=name, columns=columns, license=license)
            except RowError as error:
                misfit = misfit or (record.value, str(error))
                yield BadRow(name, record.position, str(error), _raw(record.value))
                continue
            fits = True
            yield row if row.domain else replace(row, domain=domain)
        if misfit and not fits:
            raise _no_row_fits(path, *misfit)


def _row(record: Record, *, name: str, columns: Columns | None, license: str) -> Row:
    data = record.value if columns is None else _by_columns(record.value, columns)
    return read_row(data, id=f"{name}:{record.position}", source=name, license=license)


def _by_columns(value: Any, columns: Columns) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise RowError("not an object")
    missing = [column for column in columns.named if column not in value]
    if missing:
        raise RowError(f"no column {missing[0]}")
    meta = {column: value[column] for column in columns.keep}
    if columns.text is not None:
        return {"text": value[columns.text], "meta": meta}
    prompts = [_text(value, column) for column in columns.prompts]
    messages = [
        {"role": "system", "content": _text(value, columns.system) if columns.system else ""},
        {"role": "user", "content": "\n\n".join(text for text in prompts if text)},
        {"role": "assistant", "content": _text(value, columns.answer or "")},
    ]
    return {"messages": messages if messages[0]["content"] else messages[1:], "meta": meta}


def _text(value: Mapping[str, Any], column: str) -> str:
    text = value[column]
    if text is not None and not isinstance(text, str):
        raise RowError(f"column {column} is not text")
    return text or ""


def _raw(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:RAW_LIMIT]


def _no_row_fits(path: Path, value: Any, reason: str) -> UserError:
    if not isinstance(value, Mapping):
        return UserError(f"{path}: no record fits; the first is {reason}. Wanted an object with named fields.")
    guess = {part: name for part, names in USUAL_NAMES.items() for name in reversed(names) if name in value}
    if not {"prompt", "answer"} <= set(guess):
        guess = {"text": guess["text"]} if "text" in guess else {"prompt": "...", "answer": "..."}
    example = ", ".join(f"{part}: {name}" for part, name in guess.items())
    return UserError(
        f"{path}: no row fits; the first: {reason}. Its columns are {', '.join(map(str, value))}. Wanted rows with "
        f"messages or text; or say which columns hold what, for example columns: {{{example}}}."
    )
