from collections.abc import Iterator
from contextlib import closing

import pytest

from demiurgic.chat.session import Session
from demiurgic.core.errors import UserError
from demiurgic.core.records import Message
from demiurgic.providers.base import ContextTooLongError, Event, ProviderError, Request, Sampling, Text, Usage
from demiurgic.providers.scripted import Script, Scripted


def session(*answers: str, context_length: int | None = None, **more) -> Session:
    return Session(Scripted(Script(answers, context_length=context_length)), **more)


class Watched(Scripted):
    """Gives words for ever, or breaks off after some; notes what it was asked and that it was closed."""

    def __init__(self, *, words: int | None = None) -> None:
        super().__init__(Script())
        self.requests: list[Request] = []
        self.closed = False
        self._words = words

    def complete(self, request: Request) -> Iterator[Event]:
        self.requests.append(request)
        try:
            written = 0
            while self._words is None or written < self._words:
                written += 1
                yield Text(f"word{written} ")
        finally:
            self.closed = True


def test_an_answer_comes_in_pieces_and_becomes_part_of_the_conversation():
    chat = session("one two three", system="Be brief.")
    pieces = list(chat.answer("Count."))
    assert len(pieces) > 1
    assert chat.messages == (
        Message("system", "Be brief."),
        Message("user", "Count."),
        Message("assistant", "one two three"),
    )
    assert chat.turns[-1].ending == "stop"


def test_the_next_question_carries_the_conversation_before_it():
    chat = session("first", "second")
    list(chat.answer("a?"))
    assert "".join(chat.answer("b?")) == "second"
    assert [message.role for message in chat.messages] == ["user", "assistant"] * 2


def test_each_answer_is_timed_and_counted():
    chat = session("one two three")
    list(chat.answer("Count."))
    timing = chat.turns[-1].timing
    assert timing.usage == Usage(prompt_tokens=1, completion_tokens=3)
    assert 0 <= timing.first_piece_seconds <= timing.seconds
    assert (chat.totals.num_answers, chat.totals.completion_tokens) == (1, 3)


def test_closing_the_answer_stops_the_provider_and_keeps_what_had_come():
    provider = Watched()
    chat = Session(provider)
    with closing(chat.answer("Go on for ever.")) as pieces:
        next(pieces)
        next(pieces)
        assert not provider.closed
    assert provider.closed
    assert (chat.turns[-1].answer, chat.turns[-1].ending) == ("word1 word2 ", "interrupted")
    assert chat.totals.num_interrupted == 1


def test_an_answer_closed_before_its_first_piece_leaves_the_conversation_unchanged():
    chat = Session(Watched())
    chat.answer("Go on.").close()
    assert chat.turns == []


def test_an_answer_that_breaks_off_is_kept_and_reported():
    chat = Session(Watched(words=2))
    with pytest.raises(ProviderError, match="broke off"):
        list(chat.answer("Go on."))
    assert chat.turns[-1].ending == "interrupted"


def test_a_question_that_does_not_fit_is_refused_and_changes_nothing():
    chat = session("ok", context_length=8)
    list(chat.answer("short"))
    before = chat.messages
    with pytest.raises(ContextTooLongError, match=r"take 15 words.*room for 8.*unchanged: /undo .*/reset"):
        list(chat.answer("a question of far more words than fit into so small a context"))
    assert chat.messages == before


@pytest.mark.parametrize("question", ["", "  \n\t"])
def test_an_empty_question_is_refused(question):
    with pytest.raises(UserError, match="question is empty"):
        session("x").answer(question)


def test_retry_draws_the_next_sample_in_place_of_the_last_answer():
    chat = session("heads", "tails")
    list(chat.answer("Toss."))
    assert "".join(chat.retry()) == "tails"
    assert [turn.answer for turn in chat.turns] == ["tails"]
    assert chat.totals.num_answers == 2


def test_a_retry_that_fails_keeps_the_answer_there_was():
    chat = session("ok")
    list(chat.answer("short"))
    chat.provider = Scripted(Script(("ok",), context_length=1))
    chat.sampling = Sampling(max_tokens=5)
    with pytest.raises(ContextTooLongError):
        list(chat.retry())
    assert [turn.answer for turn in chat.turns] == ["ok"]


def test_undo_and_reset():
    chat = session("one", "two", "three", system="Be brief.")
    for question in "abc":
        list(chat.answer(question))
    assert chat.undo().question == "c"
    assert len(chat.turns) == 2
    chat.reset()
    assert chat.messages == (Message("system", "Be brief."),)
    with pytest.raises(UserError, match="nothing to take back"):
        chat.undo()
    with pytest.raises(UserError, match="no question yet"):
        chat.retry()


def test_sampling_reaches_the_provider_and_one_answer_may_have_its_own():
    provider = Watched(words=1)
    chat = Session(provider, sampling=Sampling(temperature=0.2))
    for own in (None, Sampling(seed=5)):
        with closing(chat.answer("Go.", sampling=own)) as pieces:
            next(pieces)
    assert [request.sampling for request in provider.requests] == [Sampling(temperature=0.2), Sampling(seed=5)]
