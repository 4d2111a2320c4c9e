"""What a provider is: it answers a conversation, as a stream of events that `collect` folds into one reply.

Knows no service, no HTTP and no model. A provider may be asked from several threads at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, TypeAlias

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.core.records import Message

Finish = Literal["stop", "length", "refused", "other"]
"""`stop`: the model ended its answer, or wrote one of the stop texts; `length`: it was cut at `max_tokens`; `refused`:
the service would not answer, or cut the answer off with its content filter, as the text or `raw` says; `other`: it
ended for a reason of the service's own, which stands in `raw` as `finish_reason`."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn. None leaves a choice to the provider's own default; all of it enters a journal's key."""

    max_tokens: int | None = None
    """New tokens at most; None: until the model stops or its context is full."""
    temperature: float | None = None
    """0 takes the likeliest token."""
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    """Texts that end the answer and are no part of it."""
    top_logprobs: int | None = None
    """Tell the log-probability of each token of the answer, and those of so many of the likeliest words at its place;
    they stand in `raw` as `logprobs`. A provider that cannot raises UserError."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question. `sample` numbers the answers that are drawn to one and the same question."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counts (and bills) them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The last event of every answer. `usage` is None where the provider does not count."""

    finish: Finish
    usage: Usage | None = None
    raw: Mapping[str, JSON] | None = None
    """What a service said beside the text, for a journal to keep: its number for the answer, the exact model, …"""


Event: TypeAlias = Text | Done


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    text: str
    finish: Finish
    usage: Usage | None
    raw: Mapping[str, JSON] | None = None


class ContextTooLongError(UserError):
    """The question, or the question with the answer it asks for, does not fit the model's context. Nothing was cut."""


class ProviderError(UserError):
    """The service did not answer. `retryable`: the same request may succeed later, no earlier than `retry_after`.

    `maybe_billed`: the service may have done the work (a timeout, an answer that broke off): to ask again may be to
    pay again.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        retry_after_seconds: float | None = None,
        maybe_billed: bool = False,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.maybe_billed = maybe_billed


class Provider(ABC):
    """Answers conversations. Closed with `close`, or as a context manager."""

    context_length: int | None = None
    """How many tokens question and answer may have together; None where nobody says before it is asked."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, JSON]:
        """Who answers, for keys and rows: for local weights the artifact's digest, else service, address and model.

        With it the `version` of our own code in between, raised when the same request comes to mean another question
        or another draw: what a journal kept before is then not taken for the answer. Never a port picked for this
        run, a path of this machine or a secret.
        """

    @abstractmethod
    def complete(self, request: Request) -> Iterator[Event]:
        """Answer: pieces of text as they come, then one `Done`. Closing the iterator stops the work.

        Raises ContextTooLongError before the first event rather than cut anything, ProviderError when the service
        fails, and UserError for a request the provider cannot express.
        """

    def close(self) -> None:
        """Give back what `open` took: memory, connections, processes."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def refuse_top_logprobs(sampling: Sampling, *, provider: str) -> None:
    """For providers that have no log-probabilities of their answers: raises UserError where they are asked for."""
    if sampling.top_logprobs is not None:
        raise UserError(f"The provider {provider} tells no log-probabilities with its answers. Leave top_logprobs out.")


def collect(events: Iterable[Event]) -> Reply:
    """Fold a stream into one reply, of whole characters. Raises ProviderError when it ends without saying how."""
    pieces: list[str] = []
    for event in events:
        match event:
            case Text(text):
                pieces.append(text)
            case Done(finish, usage, raw):
                return Reply(_whole_characters("".join(pieces)), finish, usage, raw)
    raise ProviderError("The answer broke off before its end.", retryable=True, maybe_billed=True)


def _whole_characters(text: str) -> str:
    """Join surrogate pairs that came in two pieces; half a pair, which no file can hold, becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
