"""What holds for every registered provider: whole answers, an identity fit for keys, and no word of a key."""

import logging
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import demiurgic.serve.served  # noqa: F401  registers the provider of its name
from demiurgic.core.errors import UserError
from demiurgic.core.hashing import canonical
from demiurgic.core.records import Message
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import ContextTooLongError, Done, Request, Sampling, Text, collect
from demiurgic.providers.journal import Journal, Journaled
from demiurgic.providers.retries import Retrying
from demiurgic.providers.scores import Passage, logprobs_of, scorer
from plugin_examples import ours
from provider_examples import EXAMPLES, SECRET, example
from tiny_models import QUIET

NAMES = [entry.name for entry in ours(PROVIDERS)]
HI = Request((Message("system", "Be brief."), Message("user", "Write a list.")), Sampling(8, temperature=0.0, seed=1))


@pytest.fixture(scope="module", params=NAMES)
def provider(request):
    with example(request.param) as provider:
        yield provider


def test_every_provider_has_an_example():
    assert sorted(EXAMPLES) == NAMES, "add the new provider to tests/provider_examples.py"


def test_an_answer_is_pieces_of_text_and_then_how_it_ended(provider):
    *pieces, done = provider.complete(HI)
    assert all(isinstance(piece, Text) and piece.text for piece in pieces)
    assert isinstance(done, Done)
    assert done.finish in ("stop", "length")
    assert done.usage is None or done.usage.completion_tokens >= 0


def test_the_same_question_gets_the_same_answer_alone_and_among_others(provider):
    alone = collect(provider.complete(HI))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: collect(provider.complete(HI)), range(4)))
    assert [reply.text for reply in together] == [alone.text] * 4


def test_an_answer_that_nobody_wants_any_more_can_be_closed_and_the_next_one_asked(provider):
    begun = provider.complete(HI)
    next(begun)
    begun.close()
    assert collect(provider.complete(HI)).finish in ("stop", "length")


def test_an_identity_is_the_same_each_time_and_has_a_canonical_form(provider):
    assert canonical(provider.identity) == canonical(provider.identity)
    assert provider.identity


@pytest.mark.parametrize("name", ["llama_cpp", "served", "transformers"])
def test_weights_of_our_own_are_known_by_their_digest_wherever_they_lie_and_run(name):
    with example(name) as provider:
        identity = canonical(provider.identity)
    assert re.search("[0-9a-f]{64}", identity)
    assert "127.0.0.1" not in identity
    assert "/" not in identity


@pytest.mark.parametrize("name", NAMES)
def test_no_key_is_logged_shown_or_kept(name, tmp_path, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    with example(name) as provider, Journal(tmp_path / "journal.sqlite") as journal:
        shown = f"{provider!r} {provider.identity}"
        with Retrying(Journaled(provider, journal), console=QUIET.console) as kept:
            for text in ("Write a list.", "Write another."):
                collect(kept.complete(Request((Message("user", text),), HI.sampling)))
    printed = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Write another." in written
    assert SECRET not in shown + caplog.text + printed.out + printed.err
    assert SECRET.encode() not in written


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"openai", "scripted"}))
def test_a_question_beyond_the_context_is_refused_before_the_first_word(name):
    long = Request((Message("user", "list " * 5000),), Sampling(max_tokens=4, temperature=0.0))
    with example(name) as provider, pytest.raises(ContextTooLongError):
        next(provider.complete(long))


@pytest.mark.parametrize("name", [entry.name for entry in ours(PROVIDERS) if entry.facts.get("scores")])
def test_a_provider_that_scores_tells_of_every_token_the_same_alone_and_among_others(name):
    passage = Passage((40, 41, 42, 43))
    with example(name) as provider:
        alone = scorer(provider).score(passage, top_k=3)
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda _: provider.score(passage, top_k=3), range(4)))
    assert together == [alone] * 4
    assert [place.word.id for place in alone.places] == [*passage.ids]
    assert alone.places[0].top == ()
    for place in alone.places[1:]:
        told = [word.logprob for word in place.top]
        assert told == sorted(told, reverse=True)
        assert len(told) == 3
        assert place.word.logprob <= 0 >= told[0]


@pytest.mark.parametrize("name", [entry.name for entry in ours(PROVIDERS) if not entry.facts.get("scores")])
def test_a_provider_that_does_not_score_is_refused_by_name(name):
    with example(name) as provider, pytest.raises(UserError, match="endpoint without log-probabilities"):
        scorer(provider)


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_tells_log_probabilities_with_its_answers_or_says_that_it_cannot(name):
    asked = Request(HI.messages, Sampling(4, temperature=0.0, seed=1, top_logprobs=2))
    can = PROVIDERS.get(name).facts.get("answer_logprobs", False)
    if name == "openai":
        pytest.skip("a service of the tests says what its script says (tests/generate/test_top_logprobs.py)")
    with example(name) as provider:
        if not can:
            with pytest.raises(UserError, match="top_logprobs"):
                collect(provider.complete(asked))
            return
        assert len(logprobs_of(collect(provider.complete(asked)).raw)) == 4


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_may_be_closed_twice(name):
    with example(name) as provider:
        provider.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_has_a_line_for_the_list(name):
    assert PROVIDERS.get(name).line
