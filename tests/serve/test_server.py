"""What happens at the edges of HTTP: who may ask, what is refused, and what becomes of answers nobody waits for."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from demiurgic.core.errors import UserError
from demiurgic.providers.base import Done, Event, Provider, ProviderError, Request, Text, Usage
from demiurgic.providers.scripted import Script, Scripted
from demiurgic.providers.weights import LocalProvider
from demiurgic.serve.app import MAX_BODY_BYTES
from demiurgic.serve.server import Server, serving
from demiurgic.serve.wire import read_chat_request

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


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving({"echo": Scripted(Script())}) as address:
        yield address


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


def test_health_says_what_is_served(address: str):
    assert ask(address, "GET", "/health")[::2] == (200, {"status": "ok", "models": ["echo"]})


def test_a_plain_question_is_answered(address: str):
    status, answer = chat(address, ASKED)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "one two three")
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


def test_a_stream_is_events_that_end_in_done(address: str):
    connection = connect(address)
    connection.request(
        "POST", "/v1/chat/completions", json.dumps({**ASKED, "stream": True}), {"Content-Type": "application/json"}
    )
    response = connection.getresponse()
    assert response.getheader("Content-Type") == "text/event-stream; charset=utf-8"
    events = response.read().decode().split("\n\n")
    connection.close()
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": None},
        *({"content": word} for word in ("one", " two", " three")),
        {},
    ]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}


MISTAKES: Mapping[str, tuple[Any, str | None, str]] = {
    "no model": ({"messages": ASKED["messages"]}, "model", "missing_required_parameter"),
    "no messages": ({"model": "echo"}, "messages", "missing_required_parameter"),
    "no message": ({**ASKED, "messages": []}, "messages", "invalid_value"),
    "a message without a role": (
        {**ASKED, "messages": [{"content": "x"}]}, "messages.0.role", "missing_required_parameter",
    ),
    "a content that is a number": (
        {**ASKED, "messages": [{"role": "user", "content": 3}]}, "messages.0.content", "invalid_value",
    ),
    "a tool's message": (
        {**ASKED, "messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
        "messages.0.role", "invalid_value",
    ),
    "an image": (
        {**ASKED, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "messages.0.content.0.type", "invalid_value",
    ),
    "tools": ({**ASKED, "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools", "unsupported_value"),
    "two answers": ({**ASKED, "n": 2}, "n", "unsupported_value"),
    "probabilities": ({**ASKED, "logprobs": True}, "logprobs", "unsupported_value"),
    "a format": ({**ASKED, "response_format": {"type": "json_object"}}, "response_format", "unsupported_value"),
    "a penalty": ({**ASKED, "presence_penalty": 0.5}, "presence_penalty", "unsupported_value"),
    "a field nobody knows": ({**ASKED, "top_k": 40}, "top_k", "unknown_parameter"),
    "too hot": ({**ASKED, "temperature": 3}, "temperature", "invalid_value"),
    "no tokens": ({**ASKED, "max_tokens": 0}, "max_tokens", "invalid_value"),
    "two limits": ({**ASKED, "max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", None),
    "five stops": ({**ASKED, "stop": list("abcde")}, "stop", None),
    "an empty stop": ({**ASKED, "stop": ""}, "stop", None),
    "a seed that is text": ({**ASKED, "seed": "x"}, "seed", "invalid_value"),
    "a number as text": ({**ASKED, "max_tokens": "5"}, "max_tokens", "invalid_value"),
    "a whole number with a point": ({**ASKED, "max_tokens": 5.0}, "max_tokens", "invalid_value"),
    "a temperature that is true": ({**ASKED, "temperature": True}, "temperature", "invalid_value"),
    "a penalty that is false": ({**ASKED, "presence_penalty": False}, "presence_penalty", "unsupported_value"),
    "options of no stream": ({**ASKED, "stream_options": {"include_usage": True}}, "stream_options", None),
    "no JSON": (b"{'model'", None, "invalid_json"),
    "no object": ([1], None, "invalid_json"),
    "no UTF-8": (b'{"model": "\xff"}', None, "invalid_json"),
    "half a surrogate pair": (b'{"model": "\\ud800"}', None, "invalid_json"),
    "too deep": (b"[" * 100_000, None, "invalid_json"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_request_is_named(address: str, mistake: str):
    body, param, code = MISTAKES[mistake]
    status, answer = chat(address, body)
    assert status == 400
    assert (answer["error"]["param"], answer["error"]["code"]) == (param, code)
    assert answer["error"]["type"] == "invalid_request_error"
    assert answer["error"]["message"]


def test_a_developer_speaks_as_the_system():
    """No student has seen the newer name."""
    body = {**ASKED, "messages": [{"role": "developer", "content": "Be brief."}, *ASKED["messages"]]}
    request = read_chat_request(json.dumps(body).encode()).to_request()
    assert [message.role for message in request.messages] == ["system", "user"]


def test_a_temperature_may_be_written_as_a_whole_number(address: str):
    assert chat(address, {**ASKED, "temperature": 0, "top_p": 1, "frequency_penalty": 0.0})[0] == 200


def test_fields_that_ask_for_nothing_are_let_through(address: str):
    nothing = {"n": 1, "tools": None, "logprobs": False, "presence_penalty": 0, "response_format": {"type": "text"}}
    notes = {"user": "me", "metadata": {"a": "b"}, "tool_choice": "none", "stop": None, "stream": False}
    assert chat(address, {**ASKED, **nothing, **notes})[0] == 200


def test_a_wrong_method_and_a_wrong_path_are_answered_in_the_same_shape(address: str):
    assert ask(address, "GET", "/v1/chat/completions")[0] == 405
    status, _, answer = ask(address, "GET", "/v2/models")
    assert (status, answer["error"]["message"]) == (404, "Not Found: GET /v2/models.")


def test_a_body_too_large_is_refused_by_its_size(address: str):
    status, answer = chat(address, b" " * (MAX_BODY_BYTES + 1))
    assert (status, answer["error"]["code"]) == (413, "body_too_large")


def test_a_page_from_elsewhere_cannot_ask(address: str):
    """Neither by a name that was made to point here, nor with the body types that browsers send unasked."""
    assert chat(address, ASKED, Host="evil.example:80")[0] == 403
    assert chat(address, ASKED, Content_Type="text/plain")[0] == 415
    status, headers, _ = ask(
        address, "OPTIONS", "/v1/chat/completions", Origin="http://evil.example", Access_Control_Request_Method="POST"
    )
    assert status == 405
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert chat(address, ASKED, Host="localhost:8080")[0] == 200
    assert chat(address, ASKED, Host="[::1]:8080")[0] == 200


def test_with_a_key_only_those_who_have_it_may_ask():
    with serving({"echo": Scripted(Script())}, api_key="sesame") as address:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "sesame"}):
            status, answer = chat(address, ASKED, **headers)
            assert (status, answer["error"]["code"]) == (401, "invalid_api_key")
            assert ask(address, "GET", "/v1/models", **headers)[0] == 401
        assert chat(address, ASKED, Authorization="Bearer sesame", Host="any.name")[0] == 200


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_its_answer(stream: bool):
    talker = Talker()
    with serving({"talker": talker}) as address:
        connection = connect(address)
        body = {**ASKED, "model": "talker", "stream": stream}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        if stream:
            assert connection.getresponse().readline().startswith(b"data: ")
        else:
            time.sleep(0.1)
        assert not talker.closed.is_set()
        connection.sock.shutdown(socket.SHUT_RDWR) if connection.sock else connection.close()
        connection.close()
        assert talker.closed.wait(1.0)


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


def test_who_left_while_the_model_was_busy_has_cost_nothing():
    model = OneByOne()
    with serving({"one": model}) as address:
        first = post(address, "first")
        wait_until(lambda: model.begun == ["first"])
        num_threads = threading.active_count()
        waiting = [post(address, f"gone {number}") for number in range(20)]
        time.sleep(0.2)
        assert threading.active_count() == num_threads, "who waits holds no thread"
        for connection in waiting:
            connection.close()
        last = post(address, "last")
        time.sleep(0.2)
        model.go.set()
        for connection in (first, last):
            assert connection.getresponse().status == 200
            connection.close()
    assert model.begun == ["first", "last"]


def test_an_answer_that_was_left_gives_its_turn_to_the_next():
    model = OneByOne()
    with serving({"one": model}) as address:
        gone = post(address, "gone")
        wait_until(lambda: model.begun == ["gone"])
        gone.close()
        following = post(address, "next")
        time.sleep(0.2)
        assert model.begun == ["gone"], "the engine is still at work"
        model.go.set()
        assert following.getresponse().status == 200
        following.close()


def test_a_client_that_leaves_in_mid_body_leaves_no_trace(caplog: pytest.LogCaptureFixture):
    with serving({"echo": Scripted(Script())}) as address:
        connection = connect(address)
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b'{"model": ')
        time.sleep(0.2)
        connection.close()
        time.sleep(0.2)
        assert chat(address, ASKED)[0] == 200
    assert caplog.records == []


def test_every_address_of_this_machine_alone_is_served():
    with serving({"echo": Scripted(Script())}, host="127.0.0.2") as address:
        assert "127.0.0.2" in address
        assert chat(address, ASKED)[0] == 200
        assert chat(address, ASKED, Host="127.0.0.2.evil.example")[0] == 403


def test_an_engine_that_fails_before_its_first_word_gives_a_status():
    for error, status, code in (
        (ProviderError("Burned.", retryable=False), 502, "engine_failed"),
        (ProviderError("Busy.", retryable=True), 503, "unavailable"),
        (UserError("No form for that."), 400, None),
    ):
        with serving({"talker": Talker(fails_after=0, error=error)}) as address:
            found, answer = chat(address, {**ASKED, "model": "talker", "stream": True})
            assert (found, answer["error"]["code"], answer["error"]["message"]) == (status, code, str(error))


def test_a_fault_of_ours_is_told_without_its_insides():
    with serving({"talker": Talker(fails_after=0, error=ValueError("the password is sesame"))}) as address:
        status, answer = chat(address, {**ASKED, "model": "talker"})
    assert (status, answer["error"]["code"]) == (500, "internal_error")
    assert "sesame" not in json.dumps(answer)


def test_an_engine_that_fails_in_mid_stream_says_so_in_the_stream():
    with serving({"talker": Talker(fails_after=2)}) as address:
        connection = connect(address)
        body = {**ASKED, "model": "talker", "stream": True}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        events = response.read().decode().split("\n\n")
        connection.close()
    assert response.status == 200
    error = json.loads(events[-3].removeprefix("data: "))["error"]
    assert (error["code"], error["message"]) == ("engine_failed", "The engine burned down.")
    assert events[-2] == "data: [DONE]"


def test_many_streams_run_at_once():
    slow = Scripted(Script(("a b c d",)), delay_seconds=0.1)
    with serving({"slow": slow}) as address:
        statuses: list[int] = []
        body = {**ASKED, "model": "slow"}
        threads = [threading.Thread(target=lambda: statuses.append(chat(address, body)[0])) for _ in range(16)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
    assert statuses == [200] * 16
    assert seconds < 16 * 0.4 / 2  # one after the other they would take 6.4 s


def test_more_answers_than_the_server_holds_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("demiurgic.serve.app.MAX_ANSWERS", 1)
    talker = Talker()
    with serving({"talker": talker}) as address:
        body = json.dumps({**ASKED, "model": "talker", "stream": True}).encode()
        connection = connect(address)
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        first = connection.getresponse()
        status, headers, answer = ask(address, "POST", "/v1/chat/completions", body, Content_Type="application/json")
        assert (status, headers["retry-after"], answer["error"]["code"]) == (429, "1", "rate_limit_exceeded")
        first.close()
        connection.close()
        assert talker.closed.wait(1.0)


def test_a_port_in_use_is_refused_with_the_next_step(address: str):
    port = int(address.rpartition(":")[2])
    with pytest.raises(UserError, match=rf"port {port} of 127.0.0.1 is in use.*--port {port + 1}"):
        Server({"echo": Scripted(Script())}, port=port)


def test_other_machines_are_let_in_only_with_a_key():
    for host in ("0.0.0.0", "::", "192.168.0.7"):
        with pytest.raises(UserError, match="there is no API key"):
            Server({"echo": Scripted(Script())}, host=host)
    Server({"echo": Scripted(Script())}, host="0.0.0.0", api_key="sesame").close()


def test_a_host_of_another_machine_is_refused():
    with pytest.raises(UserError, match="cannot be listened on|is no address"):
        Server({"echo": Scripted(Script())}, host="203.0.113.9", api_key="sesame")


def test_stopping_waits_for_running_answers_and_takes_no_new_ones():
    slow = Scripted(Script(("a b c d e f",)), delay_seconds=0.1)
    server = Server({"slow": slow})
    server.start()
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(chat(server.address, {**ASKED, "model": "slow"})))
    thread.start()
    time.sleep(0.2)
    server.stop()
    thread.join()
    assert answers[0][1]["choices"][0]["message"]["content"] == "a b c d e f"
    with pytest.raises(ConnectionRefusedError):
        chat(server.address, ASKED)


def test_stopping_at_once_cuts_running_answers_off():
    talker = Talker()
    server = Server({"talker": talker})
    server.start()
    connection = connect(server.address)
    body = {**ASKED, "model": "talker", "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    connection.getresponse().readline()
    began = time.monotonic()
    server.stop(at_once=True)
    assert time.monotonic() - began < 2
    assert talker.closed.wait(1.0)
    connection.close()
