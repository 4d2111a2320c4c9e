"""What goes over the wire: OpenAI's chat completions as they are asked for, and as they are answered.

What a field asks for and this server cannot do is refused by name; a field that OpenAI does not know is refused too, as
OpenAI does. Fields that ask for nothing (`n: 1`, `tools: null`) are let through.
"""

import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from demiurgic.core.records import Message
from demiurgic.providers.base import Finish, Provider, Request, Sampling, Usage
from demiurgic.providers.weights import LocalProvider
from demiurgic.serve.errors import WireError

NOTES = {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"}
"""Fields that do not change an answer of ours."""
ASKS_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
}
"""Fields of OpenAI's that this server has no form for, and the values (beside null) that ask for nothing."""
MESSAGE_ASKS_NOTHING = {"tool_calls", "tool_call_id", "function_call", "refusal", "audio", "annotations", "name"}
FINISH_REASONS: Mapping[Finish, str] = {
    "stop": "stop",
    "length": "length",
    "refused": "content_filter",
    "other": "stop",
}
MAX_STOPS = 4
UNION_TAG = re.compile(r"(constrained-)?(str|int|float|bool)$|list\[")
"""What pydantic puts among the names of fields for each of the things that a field may be."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Form = TypeVar("Form", bound=Strict)


class TextPart(Strict):
    type: Literal["text"]
    text: StrictStr


class WireMessage(Strict):
    role: Literal["system", "developer", "user", "assistant"]
    content: StrictStr | list[TextPart]

    def to_message(self) -> Message:
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        # OpenAI's newer name for the same thing; no template but OpenAI's own knows it.
        return Message("system" if self.role == "developer" else self.role, text)


class StreamOptions(Strict):
    include_usage: StrictBool = False
    include_obfuscation: StrictBool = False


class ChatRequest(Strict):
    """The body of `POST /v1/chat/completions`, as far as this server answers it."""

    model: StrictStr
    messages: list[WireMessage] = Field(min_length=1)
    temperature: StrictFloat | None = Field(None, ge=0, le=2)
    top_p: StrictFloat | None = Field(None, gt=0, le=1)
    seed: StrictInt | None = Field(None, ge=-(2**63), lt=2**63)
    stop: StrictStr | list[StrictStr] | None = None
    max_tokens: StrictInt | None = Field(None, ge=1)
    max_completion_tokens: StrictInt | None = Field(None, ge=1)
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None

    def to_request(self) -> Request:
        """Raises WireError for fields that contradict one another."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stop) > MAX_STOPS or "" in stop:
            raise WireError(400, f"stop wants up to {MAX_STOPS} texts, none of them empty.", param="stop")
        if self.stream_options is not None and not self.stream:
            raise WireError(400, "stream_options is only for stream: true.", param="stream_options")
        limits = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(limits) > 1:
            raise WireError(400, "max_tokens and max_completion_tokens differ; give one.", param="max_tokens")
        sampling = Sampling(
            max_tokens=next(iter(limits), None),
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=tuple(stop),
        )
        return Request(tuple(message.to_message() for message in self.messages), sampling)


def read_chat_request(body: bytes) -> ChatRequest:
    """The request a body holds. Raises WireError (400) naming the field that does not fit."""
    return read_body(body, ChatRequest)


def read_body(body: bytes, form: type[Form]) -> Form:
    """A body as a request of that form, without the fields that ask for nothing. Raises WireError (400)."""
    try:
        data = json.loads(body)
        json.dumps(data, ensure_ascii=False).encode()  # refuses half a surrogate pair, which no tokenizer takes
    except (ValueError, RecursionError):
        raise WireError(400, "The body is not JSON in UTF-8.", code="invalid_json") from None
    if not isinstance(data, dict):
        raise WireError(400, "The body is not a JSON object.", code="invalid_json")
    fields = {name: value for name, value in data.items() if not _asks_nothing(name, value)}
    if isinstance(fields.get("messages"), list):
        fields["messages"] = [_without_nothing(message) for message in fields["messages"]]
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        raise _misfit(error) from None


def _asks_nothing(name: str, value: Any) -> bool:
    if name in NOTES:
        return True
    if name not in ASKS_NOTHING:
        return False
    if value is None or any(type(value) is type(nothing) and value == nothing for nothing in ASKS_NOTHING[name]):
        return True
    raise WireError(
        400,
        f"Unsupported value: '{name}' = {json.dumps(value)[:60]} is not supported by this server. Leave it out.",
        code="unsupported_value",
        param=name,
    )


def _without_nothing(message: Any) -> Any:
    """A message without the empty fields that clients send back with an answer of ours."""
    if not isinstance(message, dict):
        return message
    return {
        name: value
        for name, value in message.items()
        if not (name in MESSAGE_ASKS_NOTHING and (value is None or value == []))
    }


def _misfit(error: ValidationError) -> WireError:
    # Of a field that may be one thing or another, pydantic complains once for each: the last is the list's. A role or
    # a sort of part that is not known explains the fields that came with it.
    errors = error.errors()
    first = next((found for found in errors if found["type"] == "literal_error"), errors[-1])
    place = [str(part) for part in first["loc"] if not UNION_TAG.match(str(part))]
    param = ".".join(place)
    if first["type"] == "missing":
        return WireError(400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)
    if first["type"] == "extra_forbidden":
        return WireError(
            400, f"Unrecognized or unsupported parameter: '{param}'.", code="unknown_parameter", param=param
        )
    found = json.dumps(first["input"], default=str)[:60]
    return WireError(400, f"'{param}': {first['msg']}; found {found}.", code="invalid_value", param=param)


class Completion:
    """One answer on its way out: everything its chunks have in common."""

    def __init__(self, model: str) -> None:
        self.head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, text: str, finish: Finish, usage: Usage | None) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH_REASONS[finish]}
        return {**self.head, "object": "chat.completion", "choices": [choice], "usage": _usage(usage)}

    def chunk(self, delta: Mapping[str, Any], *, finish: Finish | None = None) -> dict[str, Any]:
        reason = None if finish is None else FINISH_REASONS[finish]
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**self.head, "object": "chat.completion.chunk", "choices": [choice]}

    def usage_chunk(self, usage: Usage | None) -> dict[str, Any]:
        return {**self.head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(usage)}


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    total = usage.prompt_tokens + usage.completion_tokens
    counts = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    return {**counts, "total_tokens": total}


def model_object(name: str, provider: Provider, *, created: int) -> dict[str, Any]:
    """A model as `/v1/models` lists it; of a local one also its size and context."""
    found = {"id": name, "object": "model", "created": created, "owned_by": "demiurgic"}
    if isinstance(provider, LocalProvider):
        found |= {"context_length": provider.context_length, "num_parameters": provider.num_parameters}
    return found


def server_sent(data: Mapping[str, Any] | str) -> bytes:
    """One event of a stream."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


Models = Mapping[str, Provider]


def find_provider(models: Models, name: str) -> Provider:
    """Raises WireError (404) naming the models there are."""
    if name not in models:
        raise WireError(
            404,
            f"The model '{name}' does not exist here. Served: {', '.join(models)}.",
            code="model_not_found",
            param="model",
        )
    return models[name]


__all__: Sequence[str] = (
    "ChatRequest", "Completion", "Models", "Strict", "find_provider", "model_object", "read_body", "read_chat_request",
    "server_sent",
)  # fmt: skip
