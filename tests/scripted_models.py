"""Something for the chat to talk with, without weights: a script that says of itself how large a model it is."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

from demiurgic.chat.about import Answering
from demiurgic.core.artifacts import Artifact, Model
from demiurgic.core.metric import JSON
from demiurgic.providers.base import Event, Request
from demiurgic.providers.scripted import Script, Scripted
from demiurgic.providers.weights import LocalProvider


@final
class ScriptedModel(LocalProvider):
    """Gives one answer after the other, whatever is asked; `closed` says that it was given back.

    `stopped_at`: the number of the question (from 0) that is stopped as by Ctrl-C before the first piece comes.
    """

    engine = "scripted"
    version = 1
    chat_template = ""

    def __init__(
        self, *answers: str, num_parameters: int = 7_000_000_000, context_length: int = 512, stopped_at: int = -1
    ) -> None:
        self._answers = answers
        self._stopped_at = stopped_at
        self.num_parameters = num_parameters
        self.context_length = context_length
        self.requests: list[Request] = []
        self.closed = False

    @property
    def identity(self) -> Mapping[str, JSON]:
        return {"provider": "scripted"}

    def complete(self, request: Request) -> Iterator[Event]:
        answer = self._answers[len(self.requests) % len(self._answers)]
        self.requests.append(request)
        if len(self.requests) - 1 == self._stopped_at:
            raise KeyboardInterrupt
        yield from Scripted(Script((answer,), context_length=self.context_length)).complete(request)

    def close(self) -> None:
        self.closed = True


def answering(*answers: str, label: str = "model", artifact: Artifact | None = None, **sizes: int) -> Answering:
    return Answering(label, artifact, ScriptedModel(*answers, **sizes))


def model_of(folder: Path) -> Model:
    """The model a finished step holds."""
    return Model.open(folder)
