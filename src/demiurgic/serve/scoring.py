"""`POST /v1/completions`, for one thing alone: the log-probabilities of a prompt, in the form that vLLM gave it.

Nothing is written: an answer of at most one token is empty. What the interface has beside that is refused by name.
"""

import json
from typing import Annotated, Any

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from demiurgic.models.token_bytes import text_of
from demiurgic.providers.base import Provider
from demiurgic.providers.scores import MOST_WORDS, Passage, Place, Scored, Scorer, Word
from demiurgic.serve.errors import WireError
from demiurgic.serve.wire import Strict, read_body

TokenId = Annotated[StrictInt, Field(ge=0, lt=2**31)]


class ScoreRequest(Strict):
    """The body, as far as this server answers it. How a token would be drawn says nothing of a text that is given."""

    model: StrictStr
    prompt: list[TokenId] = Field(min_length=1)
    prompt_logprobs: StrictInt = Field(ge=1, le=MOST_WORDS)
    max_tokens: StrictInt = Field(16, ge=0)
    temperature: StrictFloat | None = None
    top_p: StrictFloat | None = None
    seed: StrictInt | None = None
    stream: StrictBool | None = None
    echo: StrictBool | None = None

    def to_passage(self) -> Passage:
        """Raises WireError where text is wanted, too, or another form of answer."""
        if self.max_tokens > 1:
            raise _unsupported(
                "max_tokens",
                self.max_tokens,
                "completions score a prompt, and write nothing. Send max_tokens: 0, or ask /v1/chat/completions.",
            )
        if self.stream:
            raise _unsupported("stream", True, "log-probabilities come as one answer. Send stream: false.")
        if self.echo:
            raise _unsupported("echo", True, "a prompt is scored by its ids, and not said again. Send echo: false.")
        return Passage(tuple(self.prompt))


def _unsupported(name: str, value: int, why: str) -> WireError:
    return WireError(
        400,
        f"Unsupported value: '{name}' = {json.dumps(value)} is not supported here: {why}",
        code="unsupported_value",
        param=name,
    )


def read_score_request(body: bytes) -> ScoreRequest:
    """The request a body holds. Raises WireError (400) naming the field that does not fit."""
    return read_body(body, ScoreRequest)


def scorer_of(provider: Provider, name: str) -> Scorer:
    """Raises WireError (400) for a model whose engine has no log-probabilities."""
    if not isinstance(provider, Scorer):
        raise WireError(
            400,
            f"The model '{name}' is an endpoint without log-probabilities: its engine tells none of a prompt. Serve "
            "its Hugging Face folder.",
            code="unsupported_value",
            param="prompt_logprobs",
        )
    return provider


def score_response(head: dict[str, Any], request: ScoreRequest, scored: Scored) -> dict[str, Any]:
    """What is sent; `head` is what all answers have in common."""
    told = [None, *(_told(place) for place in scored.places[1:])]
    choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": "length", "prompt_logprobs": told}
    counts = {"prompt_tokens": len(request.prompt), "completion_tokens": 0, "total_tokens": len(request.prompt)}
    return {**head, "object": "text_completion", "choices": [choice], "usage": counts}


def _told(place: Place) -> dict[str, Any]:
    """The likeliest words with their ranks, and the token itself, whose rank beyond them is not worked out."""
    words = {str(word.id): _word(word, rank) for rank, word in enumerate(place.top, start=1)}
    own = str(place.word.id)
    return words if own in words else {own: _word(place.word, len(place.top) + 1), **words}


def _word(word: Word, rank: int) -> dict[str, Any]:
    return {"logprob": word.logprob, "rank": rank, "decoded_token": text_of(word.data)}
