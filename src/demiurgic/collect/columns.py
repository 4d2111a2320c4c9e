"""Which columns of a record hold what, as a person says it. Columns are never guessed."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from demiurgic.collect.fields import Fields, paragraphs
from demiurgic.core.records import RowError

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

    def row(self, record: Fields) -> dict[str, Any]:
        """The fields of a row. Raises RowError when a column is missing, or holds something else than text."""
        missing = [column for column in self.named if column not in record]
        if missing:
            raise RowError(f"no column {missing[0]}")
        meta = {column: record[column] for column in self.keep}
        if self.text is not None:
            return {"text": record[self.text], "meta": meta}
        messages = [
            {"role": "system", "content": _text(record, self.system) if self.system else ""},
            {"role": "user", "content": paragraphs(*(_text(record, column) for column in self.prompts))},
            {"role": "assistant", "content": _text(record, self.answer or "")},
        ]
        return {"messages": messages if messages[0]["content"] else messages[1:], "meta": meta}


def _text(record: Fields, column: str) -> str:
    text = record[column]
    if text is not None and not isinstance(text, str):
        raise RowError(f"column {column} is not text")
    return text or ""


def example_columns(record: Fields) -> str:
    """The line a person might write for records with these fields: `columns: {prompt: ask, answer: ...}`."""
    guess = {part: name for part, names in USUAL_NAMES.items() for name in reversed(names) if name in record}
    if not {"prompt", "answer"} <= set(guess):
        guess = {"text": guess["text"]} if "text" in guess else {"prompt": "...", "answer": "..."} | guess
    return f"columns: {{{', '.join(f'{part}: {name}' for part, name in guess.items())}}}"
