"""Log-probabilities of a text: those of the model itself, whoever tells them; what is none is refused."""

import math
import subprocess
import sys

import pytest

from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.providers.base import ContextTooLongError, ProviderError
from demiurgic.providers.journal import Journal, Journaled
from demiurgic.providers.openai import OpenAIProvider
from demiurgic.providers.retries import Retrying
from demiurgic.providers.scores import Passage, places_from_json, places_to_json, scorer
from demiurgic.providers.scripted import Script, Scripted
from demiurgic.providers.transformers import Transformers
from mock_openai import Fails, MockOpenAI, Tells
from telling_services import Telling
from tiny_models import tiny_model
from toy_providers import Counting

TEXT = "<|im_start|>def add(left, right):\n    return é – 日<|im_end|>"
GOOD = [None, {"5": {"logprob": -0.5, "rank": 1, "decoded_token": "a"}}]


@pytest.fixture(scope="module")
def telling(tmp_path_factory):
    return Telling(tiny_model(tmp_path_factory.mktemp("teacher") / "model"))


@pytest.fixture(scope="module")
def ids(telling):
    return tuple(telling.tokenizer(TEXT, add_special_tokens=False)["input_ids"])


def scored(script, passage, *, top_k=4):
    with MockOpenAI(script) as mock, OpenAIProvider(model="small", base_url=mock.url) as provider:
        return provider.score(passage, top_k=top_k).places, mock.requests


TWO = Passage((3, 5))


def refusal(choice, passage=TWO):
    with pytest.raises(UserError) as caught:
        scored(Tells(choice), passage)
    return caught.value


def expected(telling, ids, top_k):
    """The model's own: of each token but the first its log-probability, and those of the likeliest ids."""
    return [
        (log_V[own].item(), dict(zip(top.indices.tolist(), top.values.tolist(), strict=True)))
        for own, log_V in zip(ids[1:], telling.log_TV(ids)[:-1], strict=True)
        for top in [log_V.topk(top_k)]
    ]


def test_a_service_that_takes_ids_tells_what_its_model_says(telling, ids):
    places, requests = scored(telling, Passage(ids))
    assert requests == [{"model": "small", "prompt": list(ids), "max_tokens": 1, "prompt_logprobs": 4}]
    assert (places[0].word.id, places[0].top) == (ids[0], ())
    for id, place, (own, top) in zip(ids[1:], places[1:], expected(telling, ids, 4), strict=True):
        assert (place.word.id, place.word.logprob) == (id, own)
        assert {word.id: word.logprob for word in place.top} == top
        assert [word.logprob for word in place.top] == sorted(top.values(), reverse=True)


def test_a_service_that_echoes_a_text_tells_the_same_by_texts(telling, ids):
    places, requests = scored(telling, Passage(ids, TEXT))
    assert requests == [{"model": "small", "prompt": TEXT, "max_tokens": 0, "echo": True, "logprobs": 4}]
    assert [place.word.text for place in places] == [telling.tokenizer.decode([id]) for id in ids]
    assert [place.word.logprob for place in places[1:]] == [own for own, _ in expected(telling, ids, 4)]


def test_our_own_weights_tell_what_the_model_says_with_the_bytes_of_each_word(telling, ids):
    with Transformers(telling.folder, device="cpu") as provider:
        places = provider.score(Passage(ids), top_k=4).places
    for id, place, (own, top) in zip(ids[1:], places[1:], expected(telling, ids, 4), strict=True):
        assert place.word.id == id
        assert place.word.logprob == pytest.approx(own, abs=1e-5)
        assert {word.id: word.logprob for word in place.top} == pytest.approx(top, abs=1e-5)
    assert b"".join(place.word.data for place in places).decode() == TEXT


def test_a_text_beyond_the_context_or_the_vocabulary_is_refused(telling):
    with Transformers(telling.folder, device="cpu") as provider:
        with pytest.raises(ContextTooLongError, match="256 tokens"):
            provider.score(Passage((1,) * 257), top_k=1)
        with pytest.raises(UserError, match="holds the id 9999"):
            provider.score(Passage((1, 9999)), top_k=1)


def test_scores_are_asked_once_and_kept_bit_by_bit(telling, ids, tmp_path):
    with MockOpenAI(telling) as mock, OpenAIProvider(model="small", base_url=mock.url) as provider:
        for _ in range(2):  # the second time as another run would
            with Journal(tmp_path / "journal.sqlite") as journal:
                kept = Journaled(provider, journal)
                twice = [kept.score(Passage(ids), top_k=4) for _ in range(2)]
                tally = journal.tally
        assert len(mock.requests) == 1
        assert (tally.asked, tally.kept) == (0, 2)
        assert twice[0] == twice[1] == provider.score(Passage(ids), top_k=4)


def test_another_number_of_words_another_text_and_another_way_to_ask_are_other_questions(telling, ids, tmp_path):
    with (
        MockOpenAI(telling) as mock,
        OpenAIProvider(model="small", base_url=mock.url) as provider,
        Journal(tmp_path / "journal.sqlite") as journal,
    ):
        kept = Journaled(provider, journal)
        for passage, top_k in [(Passage(ids), 4), (Passage(ids), 3), (Passage(ids[:-1]), 4), (Passage(ids, TEXT), 4)]:
            kept.score(passage, top_k=top_k)
        assert journal.num_answers() == len(mock.requests) == 4


def test_scores_are_written_down_and_read_again_as_they_were(telling, ids):
    places, _ = scored(telling, Passage(ids, TEXT))
    assert places_from_json(places_to_json(places)) == places


def test_a_busy_and_a_failing_service_are_asked_again(telling, ids):
    said = iter([Fails(429), Fails(500), Fails(503)])
    with (
        MockOpenAI(lambda body: next(said, None) or telling(body)) as mock,
        Retrying(
            OpenAIProvider(model="small", base_url=mock.url), first_seconds=0.001, console=Console(quiet=True)
        ) as patient,
    ):
        assert len(patient.score(Passage(ids), top_k=4).places) == len(ids)
    assert len(mock.requests) == 4


def test_a_service_that_keeps_failing_is_given_up_and_may_have_cost_nothing(tmp_path):
    with (
        MockOpenAI(Fails(429)) as mock,
        Journal(tmp_path / "journal.sqlite") as journal,
        Retrying(
            Journaled(OpenAIProvider(model="small", base_url=mock.url), journal),
            attempts=2,
            first_seconds=0.001,
            console=Console(quiet=True),
        ) as patient,
        pytest.raises(ProviderError, match="429"),
    ):
        patient.score(Passage((3, 5)), top_k=1)
    assert len(mock.requests) == 2


def test_a_killed_process_leaves_its_scores_and_the_next_one_asks_the_rest(telling, ids, tmp_path):
    passages = [ids[:length] for length in (4, 6, 8)]
    program = f"""
import os, sys
from pathlib import Path
from demiurgic.providers.journal import Journal
from demiurgic.providers.openai import OpenAIProvider
from demiurgic.providers.scores import Passage
journal = Journal(Path({str(tmp_path / "journal.sqlite")!r}))
provider = OpenAIProvider(model="small", base_url=sys.argv[1])
for ids in {passages[:2]}:
    journal.score(provider, Passage(tuple(ids)), top_k=4)
os.kill(os.getpid(), 9)
"""
    with MockOpenAI(telling) as mock, OpenAIProvider(model="small", base_url=mock.url) as provider:
        ended = subprocess.run([sys.executable, "-c", program, mock.url], timeout=60, check=False)
        assert ended.returncode == -9
        with Journal(tmp_path / "journal.sqlite") as journal:
            for passage in passages:
                assert journal.score(provider, Passage(passage), top_k=4) == provider.score(Passage(passage), top_k=4)
            assert (journal.tally.asked, journal.tally.kept) == (1, 2)


@pytest.mark.parametrize("wrap", [lambda provider: provider, Retrying])
def test_a_provider_without_log_probabilities_is_refused_with_those_that_have_them(wrap, tmp_path):
    with (
        Journal(tmp_path / "journal.sqlite") as journal,
        wrap(Journaled(Scripted(Script()), journal)) as provider,
        pytest.raises(UserError, match="endpoint without log-probabilities.*openai.*transformers") as caught,
    ):
        provider.score(Passage((3, 5)), top_k=1)
    assert "Scripted" in str(caught.value)
    with pytest.raises(UserError, match="Counting is an endpoint without"):
        scorer(Counting())


def test_a_service_that_ignores_what_was_asked_is_an_endpoint_without_log_probabilities():
    assert "endpoint without log-probabilities" in str(refusal({}))
    assert "ask: text" in str(refusal({}))
    for choice in ({}, {"logprobs": None}, {"logprobs": {"tokens": []}}):
        assert "endpoint without log-probabilities" in str(refusal(choice, Passage((3, 5), "a b")))
    without_top = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": None}
    assert "which words were likelier" in str(refusal({"logprobs": without_top}, Passage((3, 5), "a b")))


def changed(**word):
    return {"prompt_logprobs": [None, {"5": {**GOOD[1]["5"], **word}}]}


@pytest.mark.parametrize(
    "choice",
    [
        {"prompt_logprobs": []},
        {"prompt_logprobs": [None]},
        {"prompt_logprobs": [*GOOD, GOOD[1]]},
        {"prompt_logprobs": [None, None]},
        {"prompt_logprobs": [None, {"6": GOOD[1]["5"]}]},
        {"prompt_logprobs": [None, {"five": GOOD[1]["5"]}]},
        changed(logprob=math.nan),
        changed(logprob=None),
        changed(logprob="likely"),
        changed(logprob=True),
        changed(logprob=0.1),
        changed(decoded_token=7),
    ],
)
def test_what_is_no_log_probability_of_the_text_is_refused(choice):
    assert "in a form that nobody knows" in str(refusal(choice))


@pytest.mark.parametrize(
    "told",
    [
        {"tokens": ["a", "b"], "token_logprobs": [None], "top_logprobs": [None, {}]},
        {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [None]},
        {"tokens": ["a", "b"], "token_logprobs": [None, math.nan], "top_logprobs": [None, {}]},
        {"tokens": ["a", "b"], "token_logprobs": [None, None], "top_logprobs": [None, {}]},
        {"tokens": ["a", 7], "token_logprobs": [None, -1.0], "top_logprobs": [None, {}]},
        {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [None, {"b": math.inf}]},
    ],
)
def test_an_echo_whose_lists_do_not_fit_is_refused(told):
    assert "in a form that nobody knows" in str(refusal({"logprobs": told}, Passage((3, 5), "ab")))


def test_a_word_called_impossible_is_not_among_the_likeliest():
    words = {"5": {"logprob": -0.5, "rank": 1}, "6": {"logprob": -9999.0, "rank": 2}}
    places, _ = scored(Tells({"prompt_logprobs": [None, words]}), Passage((3, 5)))
    assert [word.id for word in places[1].top] == [5]


def test_an_id_written_as_text_is_read_as_the_id():
    told = {
        "tokens": ["token_id:3", "token_id:5"],
        "token_logprobs": [None, -1.0],
        "top_logprobs": [None, {"token_id:6": -0.9}],
    }
    places, _ = scored(Tells({"logprobs": told}), Passage((3, 5), "ab"))
    assert [place.word.id for place in places] == [3, 5]
    assert [word.id for word in places[1].top] == [6]


def test_a_service_whose_model_is_for_chat_alone_says_so_itself():
    with pytest.raises(UserError, match="This is a chat model"):
        scored(Fails(404, "This is a chat model"), TWO)
