"""A service that speaks OpenAI's chat completions on a free loopback port, and says or fails what a test wants."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True)
class Says:
    """An answer, one chunk per piece. `cut` ends the connection after so many; `error` is said inside the stream."""

    pieces: tuple[str, ...] = ("Hello", ", ", "world.")
    finish: str | None = "stop"
    refusal: str | None = None
    reasoning: str | tuple[str | None, ...] | None = None
    """Comes with the first piece, or so much with each."""
    usage: Mapping[str, Any] | None = field(default_factory=lambda: {"prompt_tokens": 5, "completion_tokens": 3})
    cut: int | None = None
    error: Mapping[str, Any] | None = None
    seconds: float = 0.0
    raw: bytes | None = None
    """Bytes that stand where the end should."""
    logprobs: tuple[Mapping[str, Any] | tuple[Mapping[str, Any], ...], ...] | None = None
    """What `logprobs.content` holds for each piece: a token, or several."""


@dataclass(frozen=True)
class Tells:
    """What `/v1/completions` gives: one choice, as it stands."""

    choice: Mapping[str, Any]
    seconds: float = 0.0


@dataclass(frozen=True)
class Fails:
    """An error in the service's own shape."""

    status: int
    message: str = "something is wrong"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Script = Callable[[Body], Says | Fails | Tells]


class MockOpenAI:
    """Used as a context manager. `requests` and `headers` hold what came in, in order."""

    def __init__(
        self, script: Script | Says | Fails | Tells = Says(), *, models: tuple[str, ...] | None = ("small",)
    ) -> None:
        self.script = script if callable(script) else lambda body: script
        self.models = models
        self.requests: list[Body] = []
        self.headers: list[Message] = []
        self.num_open = 0
        self.most_open = 0
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> "MockOpenAI":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def in_turn(*script: Says | Fails | Tells) -> Script:
    """The first thing to the first request, the second to the second; the last one again and again."""
    left = list(script)
    return lambda body: left.pop(0) if len(left) > 1 else left[0]


def question(body: Body) -> str:
    return body["messages"][-1]["content"]


def _handler(mock: MockOpenAI) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if mock.models is None:
                self._fail(Fails(404, "no such page"))
            else:
                models = [{"id": name, "object": "model", "created": 0, "owned_by": "test"} for name in mock.models]
                self._json(200, {"object": "list", "data": models})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with mock.lock:
                mock.requests.append(body)
                mock.headers.append(self.headers)
                said = mock.script(body)
                mock.num_open += 1
                mock.most_open = max(mock.most_open, mock.num_open)
            try:
                if isinstance(said, Fails):
                    self._fail(said)
                elif isinstance(said, Tells):
                    time.sleep(said.seconds)
                    choice = {"index": 0, "text": "", "finish_reason": "length", "logprobs": None, **said.choice}
                    self._json(200, {"id": "cmpl-1", "object": "text_completion", "created": 0, "choices": [choice]})
                else:
                    self._say(said)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True
            finally:
                with mock.lock:
                    mock.num_open -= 1

        def _say(self, said: Says) -> None:
            time.sleep(said.seconds)
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for number, piece in enumerate(said.pieces):
                if number == said.cut:
                    return
                tokens = () if said.logprobs is None else said.logprobs[number]
                told = {"content": [*tokens] if isinstance(tokens, tuple) else [tokens]} if said.logprobs else None
                thoughts = said.reasoning if isinstance(said.reasoning, tuple) else (said.reasoning,)
                self._chunk(
                    {"content": piece}, reasoning=thoughts[number] if number < len(thoughts) else None, logprobs=told
                )
            if said.error is not None:
                self._event({"error": said.error})
                return
            if said.refusal is not None:
                self._chunk({"refusal": said.refusal})
            if said.raw is not None:
                self.wfile.write(said.raw)
                return
            if said.finish is not None:
                self._chunk({}, finish=said.finish)
            if said.usage is not None:
                self._event({"id": "chat-1", "model": "small-2", "choices": [], "usage": dict(said.usage)})
            self.wfile.write(b"data: [DONE]\n\n")

        def _chunk(
            self, delta: Body, *, finish: str | None = None, reasoning: str | None = None, logprobs: Body | None = None
        ) -> None:
            if reasoning is not None:
                delta = {**delta, "reasoning_content": reasoning}
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            if logprobs is not None:
                choice["logprobs"] = logprobs
            self._event({"id": "chat-1", "object": "chat.completion.chunk", "model": "small-2", "choices": [choice]})

        def _event(self, data: Body) -> None:
            self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
            self.wfile.flush()

        def _fail(self, said: Fails) -> None:
            error = {"message": said.message, "type": "error", "code": said.code}
            self._json(said.status, {"error": error}, headers=said.headers)

        def _json(self, status: int, data: Body, *, headers: Mapping[str, str] | None = None) -> None:
            content = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
