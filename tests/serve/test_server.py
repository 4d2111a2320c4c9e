"""What becomes of answers nobody waits for, of engines that fail, and of a server that is stopped."""

import json
import socket
import threading
import time
from typing import Any

import pytest

from demiurgic.core.errors import UserError
from demiurgic.providers.base import ProviderError
from demiurgic.providers.scripted import Script, Scripted
from demiurgic.serve.server import Server, serving
from http_talks import ASKED, OneByOne, Talker, ask, chat, connect, post, wait_until


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
