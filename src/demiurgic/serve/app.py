"""The HTTP interface as an ASGI application: which path does what, who may ask, and how an answer is sent.

Knows no sockets and no models, only providers by name.
"""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, TypeAlias

from demiurgic.providers.base import Done, Event, Provider, Text, collect
from demiurgic.providers.base import Request as ProviderRequest
from demiurgic.providers.weights import LocalProvider
from demiurgic.serve.answering import Answering
from demiurgic.serve.errors import WireError, wire_error
from demiurgic.serve.scoring import read_score_request, score_response, scorer_of
from demiurgic.serve.wire import (
    ChatRequest,
    Completion,
    Models,
    find_provider,
    model_object,
    read_chat_request,
    server_sent,
)

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]

LOG = logging.getLogger("demiurgic.serve")
MAX_BODY_BYTES = 8 << 20
"""A million tokens of text and what JSON adds to them."""
MAX_ANSWERS = 256
"""Running and waiting at once."""


def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address, is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True)
class Access:
    """Who may ask. Without a key only by a loopback name: a page from elsewhere whose name was made to point here
    (DNS rebinding) carries its own name in the Host header.
    """

    api_key: str | None = None

    def check(self, headers: Mapping[str, str]) -> None:
        """Raises WireError (401, 403)."""
        if self.api_key is None:
            host = headers.get("host", "")
            name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
            if not is_loopback(name.removeprefix("[").removesuffix("]")):
                raise WireError(403, f"The host '{host}' is not served here.", code="host_not_allowed")
            return
        given = headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.api_key}".encode()):
            raise WireError(401, "The API key is missing or wrong.", code="invalid_api_key")


def build_app(models: Models, *, access: Access | None = None, max_body_bytes: int = MAX_BODY_BYTES) -> "Starlette":
    """The application over providers, by the names clients ask for."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    created = int(time.time())
    answers = Answers(models, max_body_bytes=max_body_bytes)

    async def list_models(request: "Request") -> Response:
        del request
        found = [model_object(name, provider, created=created) for name, provider in models.items()]
        return JSONResponse({"object": "list", "data": found})

    async def one_model(request: "Request") -> Response:
        name = request.path_params["name"]
        return JSONResponse(model_object(name, find_provider(models, name), created=created))

    async def health(request: "Request") -> Response:
        del request
        return JSONResponse({"status": "ok", "models": list(models)})

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            error = WireError(error.status_code, f"{error.detail}: {request.method} {request.url.path}.")
        told = _told(error)
        return JSONResponse(told.body(), told.status, told.headers())

    return Starlette(
        routes=[
            Route("/health", health, methods=["GET"]),
            Route("/v1/models", list_models, methods=["GET"]),
            Route("/v1/models/{name:path}", one_model, methods=["GET"]),
            Route("/v1/chat/completions", answers.endpoint, methods=["POST"]),
            Route("/v1/completions", answers.score_endpoint, methods=["POST"]),
        ],
        middleware=[Middleware(_Gate, access=access or Access())],
        exception_handlers={HTTPException: refused, WireError: refused},
    )


class _Gate:
    """Lets through who may ask."""

    def __init__(self, app: Any, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
        try:
            self._access.check(headers)
        except WireError as error:
            await _send_json(send, error.body(), status=error.status, headers=error.headers())
            return
        await self._app(scope, receive, send)


class Answers:
    """`POST /v1/chat/completions` and `/v1/completions`."""

    def __init__(self, models: Models, *, max_body_bytes: int) -> None:
        self._models = models
        self._max_body_bytes = max_body_bytes
        self._num_running = 0
        self._turns: dict[Provider, asyncio.Lock] = {}

    async def endpoint(self, request: "Request") -> Any:
        """Read the request, and give what answers it. Raises WireError."""
        from starlette.requests import ClientDisconnect

        try:
            asked = read_chat_request(await self._body(request))
        except ClientDisconnect:
            return _say_nothing
        return _Answer(self, asked, find_provider(self._models, asked.model))

    async def score_endpoint(self, request: "Request") -> Any:
        """Read the request, and give the log-probabilities of its prompt. Raises WireError."""
        from starlette.requests import ClientDisconnect
        from starlette.responses import JSONResponse

        try:
            asked = read_score_request(await self._body(request))
        except ClientDisconnect:
            return _say_nothing
        provider = find_provider(self._models, asked.model)
        scorer = scorer_of(provider, asked.model)
        self.enter()
        try:
            async with self._turns.setdefault(provider, asyncio.Lock()):
                scored = await asyncio.to_thread(scorer.score, asked.to_passage(), top_k=asked.prompt_logprobs)
        except Exception as error:
            raise _told(error) from error
        finally:
            self.leave()
        return JSONResponse(score_response(Completion(asked.model).head, asked, scored))

    async def _body(self, request: "Request") -> bytes:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            # Also what keeps a page from elsewhere out: browsers ask leave before they send this type.
            raise WireError(415, "The body wants the header Content-Type: application/json.")
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._max_body_bytes:
                raise WireError(413, f"The body is larger than {self._max_body_bytes:,} bytes.", code="body_too_large")
        return bytes(body)

    def enter(self) -> None:
        """Raises WireError (429) when too many are waiting."""
        if self._num_running >= MAX_ANSWERS:
            raise WireError(
                429, f"{MAX_ANSWERS} answers are under way.", code="rate_limit_exceeded", type="rate_limit_error",
                retry_after_seconds=1,
            )  # fmt: skip
        self._num_running += 1

    def leave(self) -> None:
        self._num_running -= 1

    async def begin(self, provider: Provider, request: ProviderRequest) -> Answering:
        """Answer when it is the request's turn. Whoever stops waiting before has cost the model nothing."""
        if not isinstance(provider, LocalProvider):
            return Answering(provider.complete(request), on_end=lambda: None)
        turn = self._turns.setdefault(provider, asyncio.Lock())
        await turn.acquire()
        try:
            return Answering(provider.complete(request), on_end=turn.release)
        except BaseException:
            turn.release()
            raise


class _Answer:
    """Sends one answer, whole or in pieces, as long as the client is there."""

    def __init__(self, answers: Answers, asked: ChatRequest, provider: Provider) -> None:
        self._answers = answers
        self._asked = asked
        self._request = asked.to_request()
        self._provider = provider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._answers.enter()
        sending = asyncio.ensure_future(self._send_in_turn(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            self._answers.leave()

    async def _send_in_turn(self, send: Send) -> None:
        answering = await self._answers.begin(self._provider, self._request)
        try:
            await self._send(answering, send)
        finally:
            answering.abandon()

    async def _send(self, answering: Answering, send: Send) -> None:
        completion = Completion(self._asked.model)
        events = aiter(answering)
        try:
            if not self._asked.stream:
                reply = collect([event async for event in events])
                await _send_json(send, completion.whole(reply.text, reply.finish, reply.usage))
                return
            # A request that is refused gets a status of its own: nothing is sent before the first event.
            first = await anext(events)
        except Exception as error:
            told = _told(error)
            await _send_json(send, told.body(), status=told.status, headers=told.headers())
            return
        await self._stream(completion, first, events, send)

    async def _stream(self, completion: Completion, first: Event, events: Any, send: Send) -> None:
        await _start(send, 200, {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"})
        await _more(send, server_sent(completion.chunk({"role": "assistant", "content": None})))
        try:
            await self._piece(completion, first, send)
            async for event in events:
                await self._piece(completion, event, send)
        except Exception as error:  # the status is sent already
            await _more(send, server_sent(_told(error).body()))
        await _more(send, server_sent("[DONE]"), last=True)

    async def _piece(self, completion: Completion, event: Event, send: Send) -> None:
        match event:
            case Text(text):
                await _more(send, server_sent(completion.chunk({"content": text})))
            case Done(finish, usage):
                await _more(send, server_sent(completion.chunk({}, finish=finish)))
                options = self._asked.stream_options
                if options is not None and options.include_usage:
                    await _more(send, server_sent(completion.usage_chunk(usage)))


def _told(error: Exception) -> WireError:
    told = wire_error(error)
    if told.status == 500:
        LOG.error("an answer failed", exc_info=error)
    return told


async def _say_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer to a client that left before it had asked."""


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_json(
    send: Send, body: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> None:
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    more = {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}
    await _start(send, status, more)
    await _more(send, data, last=True)


async def _start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def _more(send: Send, body: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not last})
