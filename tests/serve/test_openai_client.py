"""The official client against our server, over real models in both engines."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from demiurgic.providers.base import collect
from demiurgic.providers.local import LocalProvider, open_local
from demiurgic.serve.server import serving
from local_models import Pair, question, tiny_pair

ENGINES = ("transformers", "llama_cpp")
HELLO: list[Any] = [{"role": "user", "content": "Write the function"}]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return tiny_pair(tmp_path_factory.mktemp("pair"), "llama3")


@pytest.fixture(scope="module")
def models(pair: Pair) -> Iterator[dict[str, LocalProvider]]:
    opened = {name: open_local(path, threads=1) for name, path in pair.paths.items()}
    yield opened
    for provider in opened.values():
        provider.close()


@pytest.fixture(scope="module")
def client(models: dict[str, LocalProvider]) -> Iterator[openai.OpenAI]:
    with serving(models) as address, openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_models_are_listed_with_what_is_known_of_them(client: openai.OpenAI):
    found = client.models.list().data
    assert [model.id for model in found] == list(ENGINES)
    assert client.models.retrieve("llama_cpp").model_extra["context_length"] == 512


def test_a_model_that_is_not_served_is_not_found(client: openai.OpenAI):
    for ask in (
        lambda: client.models.retrieve("gpt-5"),
        lambda: client.chat.completions.create(model="gpt-5", messages=HELLO),
    ):
        with pytest.raises(openai.NotFoundError, match="Served: transformers, llama_cpp") as caught:
            ask()
        assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("model", ENGINES)
def test_an_answer_is_what_the_engine_itself_gives(client: openai.OpenAI, models, model: str):
    expected = collect(models[model].complete(question(temperature=0, max_tokens=12)))
    answer = client.chat.completions.create(model=model, messages=HELLO, temperature=0, max_tokens=12)
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (expected.usage.prompt_tokens, 12)
    assert answer.usage.total_tokens == expected.usage.prompt_tokens + 12


@pytest.mark.parametrize("model", ENGINES)
def test_a_stream_is_the_whole_answer_in_pieces(client: openai.OpenAI, model: str):
    asked: dict[str, Any] = {"model": model, "messages": HELLO, "temperature": 1, "seed": 3, "max_tokens": 12}
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    first, *middle, last, usage = chunks
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", None)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in middle) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in (first, *middle, last)] == [None] * (len(middle) + 1) + [
        whole.choices[0].finish_reason
    ]
    assert (usage.choices, usage.usage) == ([], whole.usage)
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(middle) > 3


def test_usage_is_streamed_only_where_it_was_asked_for(client: openai.OpenAI):
    chunks = list(client.chat.completions.create(model="llama_cpp", messages=HELLO, stream=True, max_tokens=2))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_the_helper_that_folds_a_stream_understands_ours(client: openai.OpenAI):
    asked: dict[str, Any] = {"model": "llama_cpp", "messages": HELLO, "temperature": 0, "max_tokens": 8}
    whole = client.chat.completions.create(**asked)
    asked["stop"] = (whole.choices[0].message.content or "")[-3:]  # the helper refuses answers that were cut
    whole = client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked) as stream:
        for _ in stream:
            pass
        folded = stream.get_final_completion()
    assert folded.choices[0].message.content == whole.choices[0].message.content


@pytest.mark.parametrize("stop", ["one", "several"])
def test_stop_texts_end_an_answer(client: openai.OpenAI, stop: str):
    asked: dict[str, Any] = {"model": "llama_cpp", "messages": HELLO, "temperature": 0, "max_tokens": 12}
    whole = client.chat.completions.create(**asked).choices[0].message.content or ""
    end = whole[3:6]
    answer = client.chat.completions.create(**asked, stop=end if stop == "one" else ["\u20ac", end])
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (whole[: whole.index(end)], "stop")


@pytest.mark.parametrize("model", ENGINES)
def test_a_conversation_that_does_not_fit_is_refused_before_a_stream_begins(client: openai.OpenAI, model: str):
    long: list[Any] = [{"role": "user", "content": "many words " * 300}]
    with pytest.raises(openai.BadRequestError, match="context is 512 tokens") as caught:
        client.chat.completions.create(model=model, messages=long, stream=True)
    assert caught.value.code == "context_length_exceeded"


def test_a_message_in_parts_and_every_role_are_taken(client: openai.OpenAI):
    parts = [{"type": "text", "text": "Write "}, {"type": "text", "text": "the function"}]
    asked: dict[str, Any] = {"model": "llama_cpp", "temperature": 0, "max_tokens": 6}
    whole = client.chat.completions.create(**asked, messages=HELLO)
    assert client.chat.completions.create(**asked, messages=[{"role": "user", "content": parts}]).usage == whole.usage
    turns = [{"role": role, "content": "hi"} for role in ("system", "developer", "user", "assistant", "user")]
    assert client.chat.completions.create(**asked, messages=turns).usage.completion_tokens == 6


def test_our_own_answer_sent_back_as_a_client_holds_it_is_taken(client: openai.OpenAI):
    asked: dict[str, Any] = {"model": "llama_cpp", "temperature": 0, "max_tokens": 4}
    said = client.chat.completions.create(**asked, messages=HELLO).choices[0].message.model_dump()
    again = client.chat.completions.create(**asked, messages=[*HELLO, said, *HELLO])
    assert again.usage is not None and again.usage.prompt_tokens > 30
