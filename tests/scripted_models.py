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
    """Gives one answer after the other, whatever is asked; `closed` says that it was given back."""

    engine = "scripted"
    chat_template = ""

    def __init__(self, *answers: str, num_parameters: int = 7_000_000_000, context_length: int = 512) -> None:
        self._answers = answers
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
        yield from Scripted(Script((answer,), context_length=self.context_length)).complete(request)

    def close(self) -> None:
        self.closed = True


def answering(*answers: str, label: str = "model", artifact: Artifact | None = None, **sizes: int) -> Answering:
    return Answering(label, artifact, ScriptedModel(*answers, **sizes))


def model_of(folder: Path) -> Model:
    """The model a finished step holds."""
    return Model.open(folder)
