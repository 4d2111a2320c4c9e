"""What may be asked over HTTP, by whom, and how a mistake is answered."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from demiurgic.providers.scripted import Script, Scripted
from demiurgic.serve.app import MAX_BODY_BYTES
from demiurgic.serve.server import serving
from demiurgic.serve.wire import read_chat_request
from http_talks import ASKED, ask, chat, connect


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
