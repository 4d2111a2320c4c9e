"""Which rows are asked, and what of them is the question. Knows no teacher and no answer."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from demiurgic.core.artifacts import Dataset
from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row
from demiurgic.core.seeds import share_of


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for a row, as the teacher gets it."""

    row: Row
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Unaskable:
    """A row that cannot be asked, and why."""

    row: Row
    reason: str
    evidence: str = ""
    benchmark: str = ""
    """The evaluation set that has the question, where that is why."""


Asked: TypeAlias = tuple[Question | Unaskable, int]
"""A question, or a row that is none, and the number of the sample."""


def question_of(row: Row, *, system: str | None = None) -> Question | Unaskable:
    """All that stands before the row's last answer, or the whole of a conversation that waits for one.

    `system` stands in place of the row's own system message.
    """
    messages = row.messages
    if not messages:
        return Unaskable(row, "a plain text asks nothing")
    if row.tools is not None or any(m.tool_calls or m.tool_call_id or m.role == "tool" for m in messages):
        return Unaskable(row, "tools cannot be offered to a teacher yet")
    if messages[-1].role == "assistant":
        messages = messages[:-1]
    if not messages or messages[-1].role != "user":
        return Unaskable(row, "no question of the user before the answer")
    if system is not None:
        others = tuple(message for message in messages if message.role != "system")
        messages = (Message("system", system), *others)
    return Question(row, messages)


@dataclass(frozen=True, slots=True)
class Questions:
    """The rows of a dataset as questions, in its order: `count` of them, or all.

    Which ones depends on their ids alone, so that a smaller count is a part of a larger one. `skipped` counts by reason
    what `count` was not chosen from; without it such rows are given as they are. `refuse` says of a question why
    it is not to be asked, if it is not: those are given in either case, and `count` is chosen from the others.
    """

    prompts: Dataset
    count: int | None = None
    system: str | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    refuse: Callable[[Question], Unaskable | None] | None = None

    def chosen(self) -> Iterator[Question | Unaskable]:
        """`count` questions, or every row. Raises UserError when there are fewer than `count`."""
        if self.count is None:
            yield from self._all()
            return
        wanted = self._wanted(self.count)
        for item in self._all():
            if item.row.id in wanted if isinstance(item, Question) else item.benchmark:
                yield item

    def _all(self) -> Iterator[Question | Unaskable]:
        for row in self.prompts.rows():
            item = question_of(row, system=self.system)
            refused = self.refuse(item) if self.refuse and isinstance(item, Question) else None
            yield refused or item

    def _askable_ids(self) -> Iterator[str]:
        for item in self._all():
            if isinstance(item, Question):
                yield item.row.id
            elif not item.benchmark:
                self.skipped[item.reason] += 1

    def _wanted(self, count: int) -> set[str]:
        wanted = set(_smallest(self._askable_ids(), count))
        if len(wanted) < count:
            raise UserError(
                f"count asks for {count} questions, and the prompts hold {len(wanted)}. Give a smaller count, leave it "
                "out to ask them all, or raise samples to get more answers to each."
            )
        return wanted


def _smallest(ids: Iterable[str], count: int) -> Iterator[str]:
    ordered = heapq.nsmallest(count, ((share_of(f"generate/{row_id}"), row_id) for row_id in ids))
    return (row_id for _, row_id in ordered)


def with_answer(question: Question, answer: str | None, *, sample: int, teacher: str) -> Row:
    """The row of a question and the answer to it, or of the question alone where there is none.

    Earlier answers, which this teacher did not write, get the weight 0: they are context, and not learned.
    """
    asked = tuple(replace(m, weight=0.0) if m.role == "assistant" else m for m in question.messages)
    said = () if answer is None else (Message("assistant", answer),)
    return replace(
        question.row,
        id=f"{question.row.id}#{sample}",
        messages=(*asked, *said),
        rejected=(),
        scores={},
        teacher=teacher,
    )
