"""What a service that speaks like OpenAI means by an error: whose mistake it is, and whether to ask again."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from demiurgic.core.errors import UserError, nearest
from demiurgic.core.metric import JSON
from demiurgic.providers.base import ContextTooLongError, ProviderError

TOO_LONG_CODES = ("context_length_exceeded", "exceed_context_size_error")
"""OpenAI's code, and the type that llama.cpp's server sends."""
TOO_LONG_WORDS = ("maximum context length", "context length exceeded", "exceeds the available context size")
REFUSED_CODES = ("content_filter", "content_policy_violation", "invalid_prompt", "data_inspection_failed", "moderation")
"""The codes of Azure, of OpenAI, of OpenAI for prompts, of Alibaba, and of some gateways."""
REFUSED_WORDS = ("content management policy", "requires moderation", "content exists risk")
"""Of Azure, OpenRouter (as 403) and DeepSeek."""
OUT_OF_MONEY = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
PASSING = (408, 409, 425, 429)
AFTER_THE_WORK = (408, 504)
"""A gateway's patience ended: the model behind it may have answered."""
SHOWN_MODELS = 20


@dataclass(frozen=True)
class Address:
    """Who is asked, as messages name it. Takes the key out of whatever a service says."""

    base_url: str
    model: str
    api_key: str | None = field(repr=False)
    api_key_env: str

    def __str__(self) -> str:
        return self.base_url

    def without_key(self, text: str) -> str:
        return text.replace(self.api_key, "(the key)") if self.api_key else text


def refusal_of(error: Exception, *, at: Address) -> dict[str, JSON] | None:
    """What the service says where it refuses what was asked, not who asks or how; None for any other error."""
    from openai import APIError

    if not isinstance(error, APIError):
        return None
    said = _said(error)
    named = error.code in REFUSED_CODES or error.type in REFUSED_CODES
    if not named and not any(words in said.lower() for words in REFUSED_WORDS):
        return None
    return {"refusal": at.without_key(said), "code": error.code}


def explain(error: Exception, *, at: Address, list_models: Callable[[], list[str]]) -> UserError:
    """The error to raise for one of the client's; `list_models` asks the service what it has."""
    from openai import APIConnectionError, APIError, APIStatusError

    match error:
        case APIStatusError():
            return _refusal(error, at=at, list_models=list_models)
        case APIConnectionError():
            return _lost(error, at=at)
        case APIError():  # said inside a stream that had begun
            if _too_long(error):
                return ContextTooLongError(at.without_key(f"{at} says: {_said(error)}"))
            message = f"{at} broke off its answer: {_said(error)}"
            return ProviderError(at.without_key(message), retryable=True, maybe_billed=True)
        case json.JSONDecodeError():
            return ProviderError(f"{at} sent something that is not JSON.", retryable=True, maybe_billed=True)
        case _:
            raise error


def _refusal(error: Any, *, at: Address, list_models: Callable[[], list[str]]) -> UserError:
    status = int(error.status_code)
    said = at.without_key(_said(error))
    if status in (401, 403):
        return UserError(
            f"{at} refuses the key in the environment variable {at.api_key_env} ({status}: {said}). Set it to a key "
            f"that may use the model {at.model}."
        )
    if error.code in OUT_OF_MONEY or error.type in OUT_OF_MONEY:
        return UserError(f"{at} answers no more until its account is topped up: {said}")
    if status in PASSING or status >= 500:
        return ProviderError(
            f"{at} did not answer ({status}: {said}).",
            retryable=True,
            retry_after_seconds=_retry_after(error.response.headers),
            maybe_billed=status in AFTER_THE_WORK,
        )
    if _too_long(error):
        return ContextTooLongError(f"{at} says: {said}")
    if status == 404:
        return _not_found(said, at=at, list_models=list_models)
    return UserError(f"{at} refuses the request ({status}): {said}")


def _not_found(said: str, *, at: Address, list_models: Callable[[], list[str]]) -> UserError:
    from openai import OpenAIError

    try:
        models = list_models()
    except (OpenAIError, json.JSONDecodeError):
        return UserError(
            f'{at} does not know the model "{at.model}", or nothing answers there (404: {said}). It lists no models '
            "either: check base_url, most end in /v1."
        )
    more = f", and {len(models) - SHOWN_MODELS} more" if len(models) > SHOWN_MODELS else ""
    listed = (", ".join(models[:SHOWN_MODELS]) or "none") + more
    return UserError(f'{at} has no model "{at.model}" (404: {said}).{nearest(at.model, models)} It has: {listed}.')


def _lost(error: Exception, *, at: Address) -> ProviderError:
    """No connection, or one that ended early. Only one that was never made is sure to have cost nothing."""
    import httpx2

    cause = error.__cause__
    unmade = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
    what = "cannot be reached" if unmade else "took the question and then fell silent"
    reason = str(cause or error).rstrip(".")
    message = at.without_key(f"{at} {what} ({reason or type(cause).__name__}).")
    return ProviderError(message, retryable=True, maybe_billed=not unmade)


def _too_long(error: Any) -> bool:
    named = error.code in TOO_LONG_CODES or error.type in TOO_LONG_CODES
    return named or any(words in _said(error).lower() for words in TOO_LONG_WORDS)


def _said(error: Any) -> str:
    """What the service says, without the client's words around it."""
    body = error.body
    if isinstance(body, Mapping) and isinstance(body.get("message"), str):
        return str(body["message"])
    return str(error.message)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, 10.2.3)."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except ValueError:
        return None
