"""Any service that speaks OpenAI's chat completions: OpenAI itself, and what is built like it (`base_url`).

Asks once and says plainly what went wrong; asking again, keeping and counting are for the wrappers around it. Tools
have no form here yet.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.core.optional import require
from demiurgic.core.records import Message
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import Done, Event, Finish, Provider, ProviderError, Request, Text, Usage
from demiurgic.providers.openai_errors import Address, explain, refusal_of
from demiurgic.providers.openai_scores import read_answer_token, read_scores, score_body
from demiurgic.providers.scores import Passage, Place, Scored, places_to_json
from demiurgic.run.context import Context

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletionChunk

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
NO_KEY = "none"
"""What is sent where no key is needed: the client insists on one."""
READ_SECONDS = 600.0
"""Between two pieces of an answer: a model that reasons is silent for long."""
LOCAL_READ_SECONDS = 3600.0
"""The same on this machine, where a question may wait for those before it and a dead server is noticed at once."""
CONNECT_SECONDS = 10.0

FINISHES: Mapping[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "content_filter": "refused",
}
"""What services call their ends. Any other is kept as `other`, with the service's own word."""
BROKE_OFF = ("error", "insufficient_system_resource")
"""Ends that are failures of the service: no answer to keep."""
VERSION = 1
"""Of what is sent for a request: enters the identity."""
TokenLimit = Literal["max_tokens", "max_completion_tokens"]


@PROVIDERS.register("openai", version=VERSION, needs=["openai"], scores=True, answer_logprobs=True)
def openai(
    context: Context,
    *,
    model: str,
    base_url: str | None = None,
    api_key_env: str | None = None,
    token_limit: TokenLimit | None = None,
    seeds: bool = True,
) -> "OpenAIProvider":
    """Chat completions of OpenAI, or of any service built like it, at `base_url`.

    `api_key_env` names the environment variable that holds the key. Without it OpenAI is sent OPENAI_API_KEY, an
    address on this machine no key, and every other address must name one, so that no key goes where it does not belong.
    `token_limit` is the field that limits an answer: OpenAI takes `max_completion_tokens` alone, and others
    `max_tokens`, the newer name being ignored by some. `seeds: false` for a service that refuses seeds.
    """
    del context
    url = _checked(base_url or OPENAI_URL)
    return OpenAIProvider(
        model=model,
        base_url=url,
        api_key=_key(api_key_env, url),
        api_key_env=api_key_env or OPENAI_KEY,
        token_limit=token_limit,
        seeds=seeds,
    )


class OpenAIProvider(Provider):
    """One model of one service. `identity` stands for who answers where the address does not: weights of our own.

    Raises UserError for a key, a model or a request that the service refuses, ContextTooLongError, and ProviderError
    for what may pass (limits, failures, timeouts, answers that break off).
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        api_key: str | None = None,
        api_key_env: str = OPENAI_KEY,
        identity: Mapping[str, JSON] | None = None,
        token_limit: TokenLimit | None = None,
        seeds: bool = True,
        read_seconds: float | None = None,
    ) -> None:
        require("openai")
        self._model = model
        service: dict[str, JSON] = {"provider": "openai", "version": VERSION, "base_url": base_url, "model": model}
        self._identity = dict(identity or service)
        usual: TokenLimit = "max_completion_tokens" if base_url == OPENAI_URL else "max_tokens"
        self._token_limit = token_limit or usual
        self._seeds = seeds
        usual_seconds = LOCAL_READ_SECONDS if _on_this_machine(base_url) else READ_SECONDS
        self._client = _client(base_url, api_key, read_seconds=read_seconds or usual_seconds)
        self._address = Address(base_url, model, api_key=api_key, api_key_env=api_key_env)

    @property
    def identity(self) -> Mapping[str, JSON]:
        return self._identity

    def complete(self, request: Request) -> Iterator[Event]:
        answer = _Answer(self._address, wants_logprobs=request.sampling.top_logprobs is not None)
        with self._explained(answer):
            yield from self._texts(self._body(request), answer)
        answer.refuse_missing()
        if answer.finish is not None:
            yield Done(answer.finish, answer.usage, answer.raw())

    def score(self, passage: Passage, *, top_k: int) -> Scored:
        """By ids with `prompt_logprobs`, as vLLM has it; a passage with a text by `echo`."""
        answer = _Answer(self._address)
        with self._explained(answer):
            completion = self._client.completions.create(model=self._model, **score_body(passage, top_k=top_k))
        if answer.finish is not None:
            raise UserError(f"{self._address} refuses to score a text: {answer.raw().get('refusal')}")
        choices = getattr(completion, "choices", None)
        if not choices:
            raise UserError(f"{self._address} answered, but not with a completion. Check base_url: most end in /v1.")
        return read_scores(choices[0].to_dict(mode="python", warnings=False), passage, top_k=top_k, at=self._address)

    def close(self) -> None:
        self._client.close()

    def _texts(self, body: Mapping[str, Any], answer: "_Answer") -> Iterator[Text]:
        with self._client.chat.completions.create(**body) as stream:
            for chunk in stream:
                text = answer.take(chunk)
                if text:
                    yield Text(text)
        if not answer.came:
            raise ProviderError(
                f"{self._address} answered, but not with a stream of chat completions. Check base_url: most end "
                "in /v1.",
                retryable=False,
            )

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        chosen = {
            self._token_limit: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed if self._seeds else None,
            "stop": list(sampling.stop) or None,
            "logprobs": True if sampling.top_logprobs is not None else None,
            "top_logprobs": sampling.top_logprobs,
        }
        return {
            "model": self._model,
            "messages": [_message(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            **{name: value for name, value in chosen.items() if value is not None},
        }

    def _models(self) -> list[str]:
        return sorted(model.id for model in self._client.models.list(timeout=CONNECT_SECONDS))

    @contextmanager
    def _explained(self, answer: "_Answer") -> Iterator[None]:
        """Raise what the client raises as errors of ours; a refusal of what was asked is an answer."""
        from openai import OpenAIError

        try:
            yield
        # The client reads each line of a stream as JSON, and lets that error through.
        except (OpenAIError, json.JSONDecodeError) as error:
            refusal = refusal_of(error, at=self._address)
            if refusal is not None:
                answer.refuse(refusal)
                return
            raise explain(error, at=self._address, list_models=self._models) from None


class _Answer:
    """What a stream of chunks has said so far."""

    def __init__(self, address: Address, *, wants_logprobs: bool = False) -> None:
        self._address = address
        self._wants_logprobs = wants_logprobs
        self._places: list[Place] = []
        self.came = False
        self.finish: Finish | None = None
        self.usage: Usage | None = None
        self._refused = False
        self._written = False
        self._reasoning: list[str] = []
        self._facts: dict[str, JSON] = {}

    def take(self, chunk: "ChatCompletionChunk") -> str:
        """Note what a chunk says and return its text. Raises ProviderError where the service broke off."""
        self.came = True
        self._note(chunk)
        if not chunk.choices:
            # The usage comes by itself after the end; some services give no other sign of it.
            if chunk.usage is not None and self.finish is None:
                self._end(None)
            return ""
        choice = chunk.choices[0]
        told = None if choice.logprobs is None else choice.logprobs.content
        delta = choice.delta
        places = [
            read_answer_token(token.to_dict(mode="python", warnings=False), at=self._address) for token in told or ()
        ]
        self._places.extend(self._of_the_answer(places, delta))
        text = "" if delta is None else self._text(delta)
        if choice.finish_reason is not None:
            self._end(choice.finish_reason)
        return text

    def refuse_missing(self) -> None:
        """Raises UserError for an answer without the log-probabilities that were asked for."""
        if self._wants_logprobs and self._written and not self._places:
            raise UserError(
                f"{self._address} was asked for top_logprobs and told none with its answer. Leave top_logprobs out, or "
                "ask a service that has them."
            )

    def refuse(self, facts: Mapping[str, JSON]) -> None:
        """Note that the service would not answer what was asked."""
        self.finish = "refused"
        self._facts |= facts

    def _of_the_answer(self, places: Sequence[Place], delta: Any) -> Sequence[Place]:
        """Without the tokens of a reasoning: of a chunk that holds some, or stands between it and the answer, those
        that write the answer's text.
        """
        reasoning = delta is not None and bool(_reasoning_of(delta))
        if self._written or not (reasoning or any(self._reasoning)):
            return places
        left = len((delta.content or "").encode()) if delta is not None else 0
        first = len(places)
        while first and left > 0:
            first -= 1
            word = places[first].word
            left -= len(word.data if word.data is not None else (word.text or "").encode())
        return places[first:]

    def _text(self, delta: Any) -> str:
        self._reasoning.append(_reasoning_of(delta))
        self._refused = self._refused or bool(delta.refusal)
        self._written = self._written or bool(delta.content)
        return (delta.content or "") + (delta.refusal or "")

    def _end(self, reason: str | None) -> None:
        if reason in BROKE_OFF:
            raise ProviderError(f'The service broke off its answer ("{reason}").', retryable=True, maybe_billed=True)
        self.finish = "refused" if self._refused else FINISHES.get(reason or "", "other")
        if self.finish == "other":
            self._facts["finish_reason"] = reason

    def raw(self) -> dict[str, JSON]:
        reasoning = "".join(self._reasoning)
        logprobs: dict[str, JSON] = {"logprobs": places_to_json(self._places)} if self._wants_logprobs else {}
        return self._facts | logprobs | ({"reasoning": reasoning} if reasoning else {})

    def _note(self, chunk: "ChatCompletionChunk") -> None:
        names = ("id", "model", "created", "system_fingerprint", "service_tier")
        self._facts |= {name: value for name in names if (value := getattr(chunk, name, None)) is not None}
        if chunk.usage is not None:
            self.usage = Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
            self._facts["usage"] = chunk.usage.model_dump(mode="json", exclude_none=True)


def _reasoning_of(delta: Any) -> str:
    extra = delta.model_extra or {}
    return str(extra.get("reasoning_content") or extra.get("reasoning") or "")


def _message(message: Message) -> dict[str, str]:
    if message.tool_calls or message.tool_call_id or message.role == "tool":
        raise UserError(
            "The provider openai has no form for tool calls and their results yet. Leave such rows out before asking."
        )
    return {"role": message.role, "content": message.content}


def _client(base_url: str, api_key: str | None, *, read_seconds: float) -> "OpenAI":
    from openai import DefaultHttpx2Client, OpenAI, Timeout

    timeout = Timeout(read_seconds, connect=CONNECT_SECONDS)
    # A proxy of the environment knows nothing of this machine's own ports.
    http = DefaultHttpx2Client(timeout=timeout, trust_env=not _on_this_machine(base_url))
    return OpenAI(base_url=base_url, api_key=api_key or NO_KEY, timeout=timeout, max_retries=0, http_client=http)


def _checked(url: str) -> str:
    """The address in one form. It enters keys and rows, so it may hold no secret."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, half an IPv6 address
        whole = False
    if not whole or not url.isascii() or not url.isprintable() or " " in url:
        raise UserError(f"base_url wants a whole address such as {OPENAI_URL}.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(
            f"base_url for {parts.hostname} holds a user, password or query, and would be written down with them. "
            "Give the plain address, and the key in an environment variable (api_key_env)."
        )
    return url.rstrip("/")


def _key(api_key_env: str | None, url: str) -> str | None:
    name = api_key_env or (OPENAI_KEY if url == OPENAI_URL else None)
    if name is None:
        if _on_this_machine(url):
            return None
        raise UserError(
            f"{url} is not OpenAI and not on this machine: name the environment variable that holds its key, such as "
            f"api_key_env: {_variable(url)}. (A service without keys: name a variable that holds any word.)"
        )
    key = os.environ.get(name, "").strip()
    if not key:
        raise UserError(f"{url} wants a key, and the environment variable {name} is not set. Set it and run again.")
    if not key.isascii() or not key.isprintable():
        raise UserError(f"The environment variable {name} holds characters that no key has. Set it again.")
    return key


def _variable(url: str) -> str:
    name = (urlsplit(url).hostname or "").split(".")[-2:][0]
    return f"{name.replace('-', '_').upper()}_API_KEY"


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
