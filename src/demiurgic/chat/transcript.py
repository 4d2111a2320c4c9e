"""A conversation as a file: one row of JSONL, as `core/records` reads it, so that it can be collected like any other.

An answer that the model did not end by itself (interrupted, cut off, refused) has the weight 0 in it: it is nothing to
learn from.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from demiurgic.chat.session import Ending, Session, Turn
from demiurgic.core.console import now
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.files.readers import read_records
from demiurgic.core.files.records import Malformed
from demiurgic.core.hashing import canonical, digest_of
from demiurgic.core.metric import JSON
from demiurgic.core.records import Message, Row, RowError, read_row
from demiurgic.providers.base import Finish

SUFFIX = ".jsonl"
ENDINGS: tuple[Ending, ...] = (*get_args(Finish), "interrupted")


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a saved conversation holds."""

    system: str
    turns: tuple[Turn, ...]


def save(session: Session, path: Path, *, label: str, replace: bool = False) -> int:
    """Write the conversation to `path`, whole or not at all; returns how many answers it holds.

    `label` is what answered, as a person calls it. Raises UserError for an empty conversation, a name without .jsonl,
    a folder that is not there, and a file that is there unless `replace`.
    """
    if not session.turns:
        raise UserError("There is nothing to save yet: the conversation is empty.")
    if path.suffix != SUFFIX:
        raise UserError(f"{path} does not end in {SUFFIX}, by which a conversation is found again. Add it to the name.")
    if not path.parent.is_dir():
        raise UserError(f"The folder {path.parent} does not exist. Make it first, or save somewhere else.")
    if path.is_dir() or (path.exists() and not replace):
        raise UserError(f"{path} exists already. Give another name, or replace it with: /save! {path}")
    line = json.dumps(_row(session, label=label).to_json(), ensure_ascii=False)
    write_text(path, line + "\n")
    return len(session.turns)


def load(path: Path) -> Transcript:
    """The conversation in a file that `save`, or anything else that writes rows, has made.

    Raises UserError when the file is missing or damaged, or holds anything but one plain conversation.
    """
    if path.suffix != SUFFIX:
        raise UserError(f"{path} is no saved conversation: its name does not end in {SUFFIX}.")
    if not path.is_file():
        raise UserError(f"{path} does not exist. Check the path; it starts from the folder the chat was started in.")
    records = list(read_records(path))
    if len(records) != 1:
        raise UserError(
            f"{path} holds {len(records)} rows; a saved conversation is one. Put the one you mean in a file."
        )
    record = records[0]
    if isinstance(record, Malformed):
        raise UserError(f"{path} is damaged: line {record.position} is {record.reason}.")
    try:
        row = read_row(record.value, id=f"{path.name}:{record.position}")
        return _transcript(row)
    except RowError as error:
        raise UserError(f"{path} is no conversation that can go on: {error}.") from None


def _row(session: Session, *, label: str) -> Row:
    messages = list(session.messages)
    answers = [place for place, message in enumerate(messages) if message.role == "assistant"]
    for place, turn in zip(answers, session.turns, strict=True):
        if turn.ending != "stop":
            messages[place] = Message("assistant", turn.answer, weight=0.0)
    saved = now()
    said: list[JSON] = [[message.role, message.content] for message in messages]
    sampling: dict[str, JSON] = {
        name: getattr(session.sampling, name) for name in ("max_tokens", "temperature", "top_p", "seed")
    }
    meta: dict[str, JSON] = {
        "saved": saved,
        "endings": [turn.ending for turn in session.turns],
        "sampling": sampling,
        "identity": dict(session.provider.identity),
    }
    return Row(
        id=f"chat:{saved}:{digest_of({'said': said})[:16]}",
        messages=tuple(messages),
        source="chat",
        teacher=label,
        meta=canonical(meta),
    )


def _transcript(row: Row) -> Transcript:
    """Raises RowError with what a plain conversation does not have."""
    if not row.messages:
        raise RowError("it is a plain text without messages")
    if row.tools is not None or any(m.tool_calls or m.tool_call_id for m in row.messages):
        raise RowError("it uses tools")
    if any(m.reasoning is not None for m in row.messages):
        raise RowError("it holds reasoning apart from the answers")
    has_system = row.messages[0].role == "system"
    system = row.messages[0].content if has_system else ""
    return Transcript(system, _turns(row.messages[has_system:], endings=_endings(row.facts)))


def _turns(messages: Sequence[Message], *, endings: Sequence[object]) -> tuple[Turn, ...]:
    roles = [message.role for message in messages]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        raise RowError("after a system message, user and assistant do not take turns up to an answer")
    turns = []
    for place, (question, answer) in enumerate(zip(messages[::2], messages[1::2], strict=True)):
        said = endings[place] if place < len(endings) else None
        turns.append(Turn(question.content, answer.content, _ending(said, weight=answer.weight)))
    return tuple(turns)


def _ending(said: object, *, weight: float | None) -> Ending:
    """What the file says; an answer without weight never counts as one that ended by itself."""
    for ending in ENDINGS:
        if said == ending and (ending != "stop" or weight != 0.0):
            return ending
    return "interrupted" if weight == 0.0 else "stop"


def _endings(facts: Mapping[str, object]) -> Sequence[object]:
    endings = facts.get("endings")
    return endings if isinstance(endings, list) else []
