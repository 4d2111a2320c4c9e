"""`/v1/completions`: the log-probabilities of a prompt over HTTP, and what it is not for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demiurgic.core.errors import UserError
from demiurgic.providers.base import ContextTooLongError
from demiurgic.providers.openai import OpenAIProvider
from demiurgic.providers.scores import Passage
from demiurgic.providers.scripted import Script, Scripted
from demiurgic.providers.transformers import Transformers
from demiurgic.serve.server import serving
from http_talks import ask
from telling_services import Telling
from tiny_models import tiny_model

IDS = [3, 40, 50, 60, 250]
ASKED: dict[str, Any] = {"model": "tiny", "prompt": IDS, "prompt_logprobs": 3, "max_tokens": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("scoring") / "model")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with Transformers(folder, device="cpu") as tiny, serving({"tiny": tiny, "echo": Scripted(Script())}) as address:
        yield address


def score(address: str, body: Any) -> tuple[int, Any]:
    status, _, answer = ask(
        address, "POST", "/v1/completions", json.dumps(body).encode(), Content_Type="application/json"
    )
    return status, answer


def test_a_prompt_is_scored_by_the_model_and_nothing_is_written(server: str, folder: Path) -> None:
    status, answer = score(server, ASKED)
    (choice,) = answer["choices"]
    assert (status, choice["text"], answer["object"]) == (200, "", "text_completion")
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}
    wanted = Telling(folder).by_ids(ASKED)["prompt_logprobs"]
    assert choice["prompt_logprobs"][0] is None
    for told, words in zip(choice["prompt_logprobs"][1:], wanted[1:], strict=True):
        assert {id: word["logprob"] for id, word in told.items()} == pytest.approx(
            {id: word["logprob"] for id, word in words.items()}, abs=1e-5
        )
        assert {id for id, word in told.items() if word["rank"] <= 3} == {
            id for id, word in words.items() if word["rank"] <= 3
        }


def test_our_own_client_reads_what_the_server_says(server: str, folder: Path) -> None:
    with OpenAIProvider(model="tiny", base_url=f"{server}/v1") as client, Transformers(folder, device="cpu") as direct:
        asked, told = (provider.score(Passage(tuple(IDS)), top_k=4).places for provider in (client, direct))
    assert [(place.word.id, place.word.logprob) for place in asked] == [(p.word.id, p.word.logprob) for p in told]
    assert [[(w.id, w.logprob) for w in p.top] for p in asked] == [[(w.id, w.logprob) for w in p.top] for p in told]


@pytest.mark.parametrize(
    "change, param",
    [
        ({"max_tokens": 2}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"prompt": "text"}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [-1]}, "prompt.0"),
        ({"prompt_logprobs": 0}, "prompt_logprobs"),
        ({"prompt_logprobs": 10**6}, "prompt_logprobs"),
        ({"echo": True}, "echo"),
        ({"stream": True}, "stream"),
        ({"stream": "yes"}, "stream"),
        ({"n": 2}, "n"),
        ({"model": "other"}, "model"),
        ({"model": "echo"}, "prompt_logprobs"),
    ],
)
def test_what_it_is_not_for_is_refused_by_name(server: str, change: dict[str, Any], param: str) -> None:
    status, answer = score(server, {**ASKED, **change})
    assert (status // 100, answer["error"]["param"]) == (4, param)


def test_what_clients_send_beside_it_and_changes_nothing_is_let_through(server: str) -> None:
    more = {"stream": False, "echo": False, "top_p": 0.9, "seed": 3, "temperature": 0.5}
    assert score(server, {**ASKED, **more})[1]["choices"] == score(server, ASKED)[1]["choices"]


def test_a_request_without_the_one_thing_it_is_for_is_refused(server: str) -> None:
    status, answer = score(server, {"model": "tiny", "prompt": IDS, "max_tokens": 0})
    assert (status, answer["error"]["param"]) == (400, "prompt_logprobs")


def test_a_model_without_log_probabilities_says_that_it_is_one(server: str) -> None:
    _, answer = score(server, {**ASKED, "model": "echo"})
    assert "endpoint without log-probabilities" in answer["error"]["message"]


def test_a_prompt_beyond_the_context_or_the_vocabulary_is_refused_and_the_next_one_scored(server: str) -> None:
    with OpenAIProvider(model="tiny", base_url=f"{server}/v1") as client:
        with pytest.raises(ContextTooLongError, match="257"):
            client.score(Passage((1,) * 257), top_k=1)
        with pytest.raises(UserError, match="holds the id 9999"):
            client.score(Passage((1, 9999)), top_k=1)
        assert len(client.score(Passage(tuple(IDS)), top_k=1).places) == len(IDS)
