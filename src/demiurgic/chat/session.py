"""A conversation with one provider: what was said, how answers are drawn, what they took. Knows no terminal."""

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message
from demiurgic.providers.base import (
    ContextTooLongError,
    Done,
    Event,
    Finish,
    Provider,
    ProviderError,
    Request,
    Sampling,
    Usage,
)

Ending = Finish | Literal["interrupted"]
"""How an answer ended; `interrupted`: it was stopped, or the provider broke off, and what had come is kept."""

Pieces: TypeAlias = Generator[str, None, None]
"""An answer as it comes; closing it stops the work."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one answer took, from the question on."""

    first_piece_seconds: float
    seconds: float
    usage: Usage | None = None
    """None where the provider does not count, and for an answer that was interrupted."""

    @property
    def tokens_per_second(self) -> float | None:
        """Speed of writing once the first piece was there; None where it cannot be told."""
        writing = self.seconds - self.first_piece_seconds
        if self.usage is None or self.usage.completion_tokens < 2 or writing <= 0:
            return None
        return (self.usage.completion_tokens - 1) / writing


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer. `sample` counts the answers drawn to the same question (see `retry`)."""

    question: str
    answer: str
    ending: Ending
    timing: Timing | None = None
    """None for a turn that was loaded from a file."""
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over every answer since the program started, taken back or not."""

    num_answers: int = 0
    num_interrupted: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def plus(self, turn: Turn) -> "Totals":
        usage = turn.timing.usage if turn.timing else None
        return Totals(
            self.num_answers + 1,
            self.num_interrupted + (turn.ending == "interrupted"),
            self.prompt_tokens + (usage.prompt_tokens if usage else 0),
            self.completion_tokens + (usage.completion_tokens if usage else 0),
            self.seconds + (turn.timing.seconds if turn.timing else 0.0),
        )


class Session:
    """One conversation, going on. `system` and `sampling` hold for every next question and may be changed."""

    def __init__(self, provider: Provider, *, system: str = "", sampling: Sampling | None = None) -> None:
        self.provider = provider
        self.system = system
        self.sampling = sampling or Sampling()
        self.turns: list[Turn] = []
        self.totals = Totals()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, as the provider is asked."""
        said = [Message("system", self.system)] if self.system else []
        for turn in self.turns:
            said += [Message("user", turn.question), Message("assistant", turn.answer)]
        return tuple(said)

    def answer(self, question: str, *, sampling: Sampling | None = None) -> Pieces:
        """Ask, and give the answer piece by piece; at the end the turn is part of the conversation.

        Closing the iterator, or an exception while it runs (Ctrl-C), stops the provider. What had come by then is
        kept and marked `interrupted`; when nothing had come, the conversation is unchanged.

        Raises UserError for an empty question, ContextTooLongError (conversation unchanged) when it does not fit the
        model's context, ProviderError when the service fails.
        """
        if not question.strip():
            raise UserError("The question is empty. Write something to ask.")
        return self._ask(question, sampling=sampling or self.sampling, sample=0)

    def retry(self) -> Pieces:
        """Draw another answer to the last question, in place of the one it has; that one stays when none comes."""
        if not self.turns:
            raise UserError("There is no question yet to answer again. Ask one first.")
        return self._retry()

    def undo(self) -> Turn:
        """Take back the last question and its answer; returns them."""
        if not self.turns:
            raise UserError("There is nothing to take back: the conversation is empty.")
        return self.turns.pop()

    def reset(self) -> None:
        """Start a new conversation; system text and sampling stay."""
        self.turns.clear()

    def _retry(self) -> Pieces:
        last = self.turns.pop()
        num_kept = len(self.turns)
        try:
            yield from self._ask(last.question, sampling=self.sampling, sample=last.sample + 1)
        finally:
            if len(self.turns) == num_kept:
                self.turns.append(last)

    def _ask(self, question: str, *, sampling: Sampling, sample: int) -> Pieces:
        request = Request((*self.messages, Message("user", question)), sampling, sample)
        writing = _Writing(question, sample)
        with closing(self._events(request)) as events:
            try:
                for event in events:
                    if isinstance(event, Done):
                        writing.done = event
                        break
                    writing.add(event.text)
                    yield event.text
            finally:
                self._keep(writing)
        if writing.done is None:
            raise ProviderError("The answer broke off before its end.", retryable=True, maybe_billed=True)

    def _events(self, request: Request) -> Generator[Event, None, None]:
        """The provider's stream, closed with this one."""
        try:
            yield from self.provider.complete(request)
        except ContextTooLongError as error:
            raise ContextTooLongError(f"{error} {WAY_OUT}") from None

    def _keep(self, writing: "_Writing") -> None:
        turn = writing.turn()
        if turn is not None:
            self.turns.append(turn)
            self.totals = self.totals.plus(turn)


WAY_OUT = (
    "The conversation is unchanged: /undo takes back the last question and its answer, /reset starts a new "
    "conversation, /set max_tokens asks for a shorter answer."
)


class _Writing:
    """An answer while it comes."""

    def __init__(self, question: str, sample: int) -> None:
        self.question = question
        self.sample = sample
        self.done: Done | None = None
        self._pieces: list[str] = []
        self._started = time.perf_counter()
        self._first: float | None = None

    def add(self, piece: str) -> None:
        if self._first is None:
            self._first = time.perf_counter() - self._started
        self._pieces.append(piece)

    def turn(self) -> Turn | None:
        """The turn as it stands; None when nothing came."""
        if self.done is None and not self._pieces:
            return None
        seconds = time.perf_counter() - self._started
        timing = Timing(self._first if self._first is not None else seconds, seconds)
        if self.done is None:
            return Turn(self.question, "".join(self._pieces), "interrupted", timing, self.sample)
        timing = replace(timing, usage=self.done.usage)
        return Turn(self.question, "".join(self._pieces), self.done.finish, timing, self.sample)
