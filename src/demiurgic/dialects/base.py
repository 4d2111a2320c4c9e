"""What a chat format is: its special tokens, its template, and the one way to render a row as spans.

Knows no tokenizer: a span is text. Spans are tokenized one by one, so that no token straddles prompt and answer and
training sees exactly the ids that the model will see when it is asked.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row

LossOn = Literal["answers", "everything"]
"""Which tokens a row without weights of its own trains: the assistant's, or all."""


class UnwritableError(Exception):
    """A dialect has no form for something in a conversation. The text names it, in words few enough to count by."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a rendered row. `weight` scales the loss of its tokens.

    `control` text was written by the dialect and may hold special tokens; other text was written by a person or a
    model, and what looks like a special token in it is plain characters.
    """

    text: str
    weight: float
    control: bool = False


class Dialect(ABC):
    """One chat format. Subclasses render messages; text rows are the same in every dialect."""

    name: str
    special_tokens: tuple[str, ...]
    """All special tokens, in the order of their ids."""
    end_of_text: str
    """Ends a document, and pads."""
    end_of_turn: str
    """Ends a message: where a model that answers stops."""
    template: str
    """The same format as a Jinja chat template, for the other programs that read the tokenizer's folder."""
    begin_of_text: str | None = None
    """Begins a document, where the tokenizer puts a token there. A chat template writes its own."""

    @property
    def stop_tokens(self) -> tuple[str, ...]:
        """Where generation ends."""
        return tuple(dict.fromkeys((self.end_of_turn, self.end_of_text)))

    def render(
        self, row: Row | Sequence[Message], *, generation_prompt: bool = False, loss_on: LossOn = "answers"
    ) -> list[Span]:
        """The spans of a row, or of messages; joined they are what `template` gives.

        `generation_prompt` ends with what comes before the assistant's next word. A message's own weight wins; without
        one the assistant's content and its end-of-turn weigh 1 and all else 0, or with `loss_on="everything"` all
        weighs 1. A text row is the beginning of text where there is one, its text and the end of text, at weight 1.

        Raises UserError for a row that this dialect cannot write down.
        """
        messages = row.messages if isinstance(row, Row) else tuple(row)
        if isinstance(row, Row) and not messages:
            if generation_prompt:
                raise UserError(f"Row {row.id} is a plain text; only a conversation can ask for an answer.")
            return self._text_spans(row.text or "")
        has_tools = isinstance(row, Row) and row.tools is not None
        try:
            return self.render_messages(
                messages, has_tools=has_tools, generation_prompt=generation_prompt, loss_on=loss_on
            )
        except UnwritableError as lacking:
            whose = f"row {row.id}" if isinstance(row, Row) else "the conversation"
            raise UserError(
                f"The dialect {self.name} cannot write {whose}: it holds {lacking}. Drop or mend such rows."
            ) from None

    def cannot_write(self, row: Row) -> str | None:
        """What in a row this dialect has no form for, or None; a plain text it can always write."""
        return self.cannot_render(row.messages, has_tools=row.tools is not None) if row.messages else None

    def cannot_render(self, messages: Sequence[Message], *, has_tools: bool) -> str | None:
        """What in these messages the dialect has no form for, or None."""
        try:
            self.render_messages(messages, has_tools=has_tools, generation_prompt=False, loss_on="answers")
        except UnwritableError as lacking:
            return str(lacking)
        return None

    @abstractmethod
    def render_messages(
        self, messages: Sequence[Message], *, has_tools: bool, generation_prompt: bool, loss_on: LossOn
    ) -> list[Span]:
        """The spans of messages. Raises UnwritableError for what the dialect has no form for."""

    def _text_spans(self, text: str) -> list[Span]:
        begin = [Span(self.begin_of_text, 1.0, control=True)] if self.begin_of_text else []
        return [*begin, Span(text, 1.0), Span(self.end_of_text, 1.0, control=True)]


def weight_of(message: Message, *, loss_on: LossOn) -> float:
    """The loss weight of a message's content and end of turn."""
    if message.weight is not None:
        return message.weight
    return 1.0 if loss_on == "everything" or message.role == "assistant" else 0.0


def refuse_tools_and_reasoning(messages: Sequence[Message], *, has_tools: bool) -> None:
    """Raises UnwritableError for what no dialect writes yet."""
    if has_tools:
        raise UnwritableError("tools")
    for message in messages:
        if message.role == "tool" or message.tool_calls:
            raise UnwritableError("a tool call")
        if message.reasoning is not None:
            raise UnwritableError("reasoning")
