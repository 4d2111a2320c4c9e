"""Providers to be served and left, and the few words of HTTP that ask them."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from demiurgic.providers.base import Done, Event, Provider, ProviderError, Request, Text, Usage
from demiurgic.providers.weights import LocalProvider

ASKED: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


class Talker(Provider):
    """Talks until it is stopped, fails, or is let go; notes that its iterator was closed."""

    def __init__(self, *, fails_after: int | None = None, error: Exception | None = None) -> None:
        self.closed = threading.Event()
        self._fails_after = fails_after
        self._error = error or ProviderError("The engine burned down.", retryable=False)

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"provider": "talker"}

    def complete(self, request: Request) -> Iterator[Event]:
        try:
            for number in range(10**6):
                if number == self._fails_after:
                    raise self._error
                yield Text(f" {number}")
                time.sleep(0.005)
            yield Done("stop", Usage(1, 1))
        finally:
            self.closed.set()


class OneByOne(LocalProvider):
    """Answers one at a time, each when `go` is set; notes which questions were begun."""

    engine = "one_by_one"
    version = 1
    digest = "0123"
    context_length = trained_context = 100
    num_parameters = 1

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = threading.Event()
        self._answering = threading.Lock()

    def complete(self, request: Request) -> Iterator[Event]:
        self.begun.append(request.messages[-1].content)
        with self._answering:
            assert self.go.wait(20)
            yield Text("Yes.")
            yield Done("stop", Usage(1, 1))


def connect(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(address.removeprefix("http://"), timeout=20)


def ask(
    address: str, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of an answer. `_` in a header's name stands for `-`."""
    connection = connect(address)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), json.loads(response.read() or b"null")
    finally:
        connection.close()


def chat(address: str, body: Any, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, _, answer = ask(
        address, "POST", "/v1/chat/completions", data, **{"Content_Type": "application/json", **headers}
    )
    return status, answer


def post(address: str, content: str) -> http.client.HTTPConnection:
    """Ask the model `one`, and do not wait."""
    connection = connect(address)
    body = {"model": "one", "messages": [{"role": "user", "content": content}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    return connection


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
