"""Log-probabilities as providers tell them: of the tokens of a text, and of the likeliest words at each of its places.

Knows no service and no tokenizer: a token is named as the service names it, by id, by text, by bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.providers import PROVIDERS

MOST_WORDS = 1000
"""Of each token: an answer of a long text with more is larger than the text by four orders of magnitude."""


@dataclass(frozen=True, slots=True)
class Word:
    """A token of the vocabulary as a service names it, and how likely it is at its place."""

    logprob: float
    """In nats, at temperature 1."""
    id: int | None = None
    text: str | None = None
    """As the service writes it: plain, in the alphabet of a byte-level BPE, with U+FFFD for half a character, …"""
    data: bytes | None = None
    """Its bytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is told of one token of a text: itself, and the likeliest words at its place, itself among them or not."""

    word: Word
    top: tuple[Word, ...]
    """Likeliest first."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to score, as the ids of its tokens; with `text`, the same written out, it is sent as that instead."""

    ids: tuple[int, ...]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What a service says of a passage: one place for each token as the service cuts it.

    Asked by ids, these are the passage's. The first token, which nothing predicts, has the word alone, of
    log-probability 0 and without a top.
    """

    places: tuple[Place, ...]


@runtime_checkable
class Scorer(Protocol):
    """A provider that tells the log-probabilities of a given text. Asked from several threads at once."""

    def score(self, passage: Passage, *, top_k: int) -> Scored:
        """The log-probability of each token of the passage, and the `top_k` likeliest words at its place.

        Raises ContextTooLongError, ProviderError for what may pass, and UserError for a service that cannot.
        """


def scorer(provider: object) -> Scorer:
    """The provider, which can score. Raises UserError naming those that can."""
    if not isinstance(provider, Scorer):
        raise UserError(without_log_probabilities(type(provider).__name__))
    return provider


def scoring_providers() -> list[str]:
    """The names of all providers registered with `scores=True`."""
    return [name for name, entry in PROVIDERS.entries().items() if entry.facts.get("scores")]


def without_log_probabilities(who: str) -> str:
    return (
        f"{who} is an endpoint without log-probabilities, which a served teacher is asked for. Providers that can have "
        f"them: {', '.join(scoring_providers())}."
    )


def places_to_json(places: Sequence[Place]) -> JSON:
    return [[_word_to_json(place.word), [_word_to_json(word) for word in place.top]] for place in places]


def places_from_json(data: Any) -> tuple[Place, ...]:
    return tuple(Place(_word_from_json(word), tuple(map(_word_from_json, top))) for word, top in data)


def _word_to_json(word: Word) -> JSON:
    """Without what is not told at the end: words are many."""
    values: list[JSON] = [word.logprob, word.id, word.text, None if word.data is None else word.data.hex()]
    while values[-1] is None:
        values.pop()
    return values


def _word_from_json(data: Sequence[Any]) -> Word:
    logprob, id, text, digits = (*data, None, None, None)[:4]
    return Word(logprob, id, text, None if digits is None else bytes.fromhex(digits))


def logprobs_of(raw: Mapping[str, JSON] | None) -> tuple[Place, ...] | None:
    """The log-probabilities that came with an answer, of those who were asked for them."""
    return None if raw is None or "logprobs" not in raw else places_from_json(raw["logprobs"])
