"""Answers that stand in the recipe: for tests, examples and rehearsals without a key, a model or a cost."""

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.core.seeds import share_of
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import (
    ContextTooLongError,
    Done,
    Event,
    Provider,
    ProviderError,
    Request,
    Text,
    Usage,
    refuse_top_logprobs,
)
from demiurgic.run.context import Context

Pick = Literal["turn", "question"]


@PROVIDERS.register("scripted")
def scripted(
    context: Context,
    *,
    answers: list[str] = [],  # noqa: B006  read, never changed; a recipe's default
    pick: Pick = "turn",
    context_length: int | None = None,
    failures: float = 0.0,
    seed: int = 0,
    delay_seconds: float = 0.0,
) -> "Scripted":
    """Gives answers from a list, or without one says again what the user said last.

    `pick: turn` gives the first answer to the first question of a conversation, the second to the second; `pick:
    question` one that depends on what is asked. A word is a token. A share of `failures` of all questions, chosen by
    `seed`, is answered only the second time. `delay_seconds` go by before each word.
    """
    del context
    if not 0 <= failures <= 1:
        raise UserError(f"failures wants a share from 0 to 1, found {failures}.")
    return Scripted(
        Script(tuple(answers), pick, context_length), failures=failures, seed=seed, delay_seconds=delay_seconds
    )


@dataclass(frozen=True, slots=True)
class Script:
    """What is answered: a function of the request alone, so that threads and repetitions change nothing."""

    answers: tuple[str, ...] = ()
    pick: Pick = "turn"
    context_length: int | None = None

    def answer(self, request: Request) -> str:
        if not self.answers:
            return next((m.content for m in reversed(request.messages) if m.role == "user"), "")
        if self.pick == "turn":
            place = sum(message.role == "assistant" for message in request.messages)
        else:
            place = int(share_of(_asked(request)) * len(self.answers))
        return self.answers[(place + request.sample) % len(self.answers)]


class Scripted(Provider):
    """Speaks a script word by word, at any pace, and fails where it is told to."""

    def __init__(self, script: Script, *, failures: float = 0.0, seed: int = 0, delay_seconds: float = 0.0) -> None:
        self._script = script
        self.context_length = script.context_length
        self._failures = failures
        self._seed = seed
        self._delay_seconds = delay_seconds
        self._lock = threading.Lock()
        self._failed: set[str] = set()

    @property
    def identity(self) -> Mapping[str, JSON]:
        return {"provider": "scripted", "answers": list(self._script.answers), "pick": self._script.pick}

    def complete(self, request: Request) -> Iterator[Event]:
        refuse_top_logprobs(request.sampling, provider="scripted")
        num_prompt = sum(len(_words(message.content)) for message in request.messages)
        self._refuse_what_does_not_fit(request, num_prompt=num_prompt)
        self._fail_once(request)
        words = _words(_before_stop(self._script.answer(request), request.sampling.stop))
        limit = request.sampling.max_tokens
        spoken = words if limit is None else words[:limit]
        for word in spoken:
            time.sleep(self._delay_seconds)
            yield Text(word)
        yield Done("length" if len(spoken) < len(words) else "stop", Usage(num_prompt, len(spoken)))

    def _refuse_what_does_not_fit(self, request: Request, *, num_prompt: int) -> None:
        room, wanted = self._script.context_length, num_prompt + (request.sampling.max_tokens or 0)
        if room is not None and wanted > room:
            raise ContextTooLongError(
                f"The question and its answer take {wanted} words, the script has room for {room}."
            )

    def _fail_once(self, request: Request) -> None:
        asked = f"{self._seed}/{request.sample}/{_asked(request)}"
        with self._lock:
            if asked in self._failed or share_of(asked) >= self._failures:
                return
            self._failed.add(asked)
        raise ProviderError("The script fails here, once.", retryable=True)


def _words(text: str) -> list[str]:
    """Words with the blanks before them; joined they are the text."""
    words: list[str] = []
    for position, piece in enumerate(text.split(" ")):
        words.append(piece if position == 0 else f" {piece}")
    return [word for word in words if word]


def _before_stop(text: str, stop: tuple[str, ...]) -> str:
    places = [text.find(end) for end in stop if end in text]
    return text[: min(places)] if places else text


def _asked(request: Request) -> str:
    return "\n".join(f"{message.role}: {message.content}" for message in request.messages)
