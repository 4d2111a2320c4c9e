"""Answers with the log-probabilities of their tokens: asked for where a service has them, kept beside the rows."""

import pytest
import torch

from demiurgic.core.artifacts import LogProbabilities
from demiurgic.core.errors import RecipeError, UserError
from demiurgic.core.records import Message
from demiurgic.models.load import load_model
from demiurgic.models.tokenizer import dialect_of, encode_prompt, load_tokenizer
from demiurgic.providers.base import Request, Sampling, collect
from demiurgic.providers.journal import Entry
from demiurgic.providers.logprob_file import read_logprobs
from demiurgic.providers.openai import OpenAIProvider
from demiurgic.providers.scores import Place, Word, logprobs_of
from demiurgic.providers.transformers import Transformers
from mock_openai import MockOpenAI, Says, question
from pretrained import pretrained
from telling_services import Telling
from tiny_models import tiny_model
from toy_talks import numbers, rows, walk

ASKING = """\
  talks: {use: talks, count: 3}
  made: {use: generate, prompts: talks, top_logprobs: 2, teacher: {use: openai, model: small, base_url: '%s'}}
"""
TOLD = tuple(
    {
        "token": text,
        "bytes": list(text.encode()),
        "logprob": -0.5,
        "top_logprobs": [
            {"token": "x", "bytes": [120], "logprob": -1.5},
            {"token": text, "bytes": list(text.encode()), "logprob": -0.5},
        ],
    }
    for text in ("Hello", ", ", "world.")
)
PLACES = tuple(
    Place(Word(-0.5, None, text, text.encode()), (Word(-0.5, None, text, text.encode()), Word(-1.5, None, "x", b"x")))
    for text in ("Hello", ", ", "world.")
)


def broken(**change):
    return Says(logprobs=({**TOLD[0], **change}, *TOLD[1:]))


def test_what_came_with_an_answer_stands_beside_its_row(tmp_path):
    with MockOpenAI(Says(logprobs=TOLD)) as mock:
        _, made = walk(tmp_path, ASKING % mock.url)
    assert all((body["logprobs"], body["top_logprobs"]) == (True, 2) for body in mock.requests)
    part = made.folder / "logprobs"
    assert LogProbabilities.open(part).kind == "logprobs"
    found = list(read_logprobs(part))
    assert [answer.row for answer in found] == [row.id for row in rows(made)]
    assert {(answer.text, answer.places) for answer in found} == {("Hello, world.", PLACES)}


def test_a_second_run_pays_for_none_of_them_and_has_the_same(tmp_path):
    with MockOpenAI(Says(logprobs=TOLD)) as mock:
        _, first = walk(tmp_path, ASKING % mock.url)
        _, second = walk(tmp_path, ASKING % mock.url, store="two", journal=tmp_path / "store-journal.sqlite")
    assert len(mock.requests) == 3
    assert numbers(second)["from_journal"] == 3
    assert first.manifest.parts["logprobs"].digest == second.manifest.parts["logprobs"].digest


def test_answers_without_them_are_found_in_the_journal_as_before():
    plain = Request((Message("user", "Hi"),), Sampling(3))
    told = Request((Message("user", "Hi"),), Sampling(3, top_logprobs=2))
    assert "top_logprobs" not in Entry.of({"provider": "x"}, plain).request
    assert Entry.of({"provider": "x"}, plain).key != Entry.of({"provider": "x"}, told).key


def test_a_dropped_answer_has_none_beside_it(tmp_path):
    with MockOpenAI(lambda body: Says(logprobs=TOLD, finish="length" if "0" in question(body) else "stop")) as mock:
        _, made = walk(tmp_path, ASKING % mock.url)
    assert [answer.row for answer in read_logprobs(made.folder / "logprobs")] == ["talk:1#0", "talk:2#0"]


def test_a_provider_that_cannot_says_so_before_anything_is_asked(tmp_path):
    steps = (ASKING % "").replace("{use: openai, model: small, base_url: ''}", "scripted")
    with pytest.raises(RecipeError, match="scripted tells no log-probabilities with its answers.*openai, transformers"):
        walk(tmp_path, steps)


def test_a_service_that_tells_none_is_no_smaller_result(tmp_path):
    with MockOpenAI() as mock, pytest.raises(UserError, match="asked for top_logprobs and told none"):
        walk(tmp_path, ASKING % mock.url)


@pytest.mark.parametrize(
    "said",
    [
        broken(logprob=float("nan")),
        broken(logprob=0.5),
        broken(logprob=None),
        broken(token=7, bytes=None),
        broken(bytes=[300]),
        broken(top_logprobs=None),
        broken(top_logprobs=[{"token": "x"}]),
    ],
)
def test_what_is_no_log_probability_is_refused(said):
    asked = Request((Message("user", "Hi"),), Sampling(top_logprobs=2))
    with (
        MockOpenAI(said) as mock,
        OpenAIProvider(model="small", base_url=mock.url) as provider,
        pytest.raises(UserError, match="in a form that nobody knows"),
    ):
        collect(provider.complete(asked))


def test_a_padded_model_writes_tokens_of_its_tokenizer_alone(tmp_path):
    folder = pretrained(tmp_path / "model", "qwen2", vocab_size=512)
    model, num_tokens = load_model(folder, device="cpu"), len(load_tokenizer(folder))
    with torch.no_grad():
        model.get_output_embeddings().weight[num_tokens:] *= 30  # padding that shouts
    model.save_pretrained(folder)
    asked = Request((Message("user", "Write the function"),), Sampling(8, temperature=1.0, seed=5, top_logprobs=3))
    with Transformers(folder, device="cpu") as provider:
        places = logprobs_of(collect(provider.complete(asked)).raw)
    assert all(word.id < num_tokens for place in places for word in (place.word, *place.top))


@pytest.mark.parametrize(("temperature", "said"), [("0.5", True), ("1", False)])
def test_log_probabilities_of_another_temperature_are_spoken_of(temperature, said, tmp_path, capsys):
    steps = ASKING.replace("top_logprobs: 2", f"top_logprobs: 2, temperature: {temperature}")
    with MockOpenAI(Says(logprobs=TOLD)) as mock:
        _, made = walk(tmp_path, steps % mock.url, quiet=False)
    assert ("some services tell the probabilities of that temperature" in "".join(capsys.readouterr())) is said
    assert made.manifest.summary.facts["logprobs_with_temperature"] == float(temperature)


def test_our_own_weights_tell_those_of_the_ids_they_wrote(tmp_path):
    folder = tiny_model(tmp_path / "model")
    asked = Request((Message("user", "Write the function"),), Sampling(6, temperature=0.7, seed=5, top_logprobs=3))
    with Transformers(folder, device="cpu") as provider:
        reply = collect(provider.complete(asked))
        silent = collect(provider.complete(Request(asked.messages, Sampling(6, temperature=0.7, seed=5))))
    telling = Telling(folder)
    prompt = encode_prompt(asked.messages, telling.tokenizer, dialect=dialect_of(telling.tokenizer))
    places = logprobs_of(reply.raw)
    ids = [*prompt, *(place.word.id for place in places)]
    assert len(places) == reply.usage.completion_tokens
    for place, log_V in zip(places, telling.log_TV(ids)[len(prompt) - 1 :], strict=False):
        assert place.word.logprob == pytest.approx(log_V[place.word.id].item(), abs=1e-4)
        top = log_V.topk(3)
        wanted = dict(zip(top.indices.tolist(), top.values.tolist(), strict=True))
        assert {word.id: word.logprob for word in place.top} == pytest.approx(wanted, abs=1e-4)
    assert (silent.text, silent.raw) == (reply.text, None)
