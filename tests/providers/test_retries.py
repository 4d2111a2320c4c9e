"""A service that fails for a while is asked again; one that never will answer is not."""

import threading
import time

import pytest

from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.core.seeds import Seeds
from demiurgic.providers.base import ContextTooLongError, ProviderError, collect
from demiurgic.providers.journal import Journal, Journaled
from demiurgic.providers.openai import OpenAIProvider
from demiurgic.providers.retries import Retrying
from mock_openai import Fails, MockOpenAI, Says, in_turn
from toy_providers import Counting, answer, ask

BUSY = ProviderError("The service is busy.", retryable=True)


def patient(provider, **options):
    return Retrying(provider, **{"first_seconds": 0.001, "console": Console(quiet=True), **options})


def test_what_passes_is_asked_again():
    provider = Counting(fail_with=(BUSY, BUSY, BUSY))
    assert collect(patient(provider).complete(ask("Hi"))) == answer(4)


def test_after_the_last_attempt_the_error_is_raised():
    provider = Counting(fail_with=(BUSY,) * 9)
    with pytest.raises(ProviderError, match="busy"):
        collect(patient(provider, attempts=3).complete(ask("Hi")))
    assert provider.num_asked == 3


@pytest.mark.parametrize(
    "error",
    [
        UserError("no such model"),
        ContextTooLongError("too long"),
        ProviderError("no", retryable=False),
        ProviderError("tomorrow", retryable=True, retry_after_seconds=86_400),
    ],
)
def test_what_no_repetition_mends_is_raised_at_once(error):
    provider = Counting(fail_with=(error,))
    with pytest.raises(UserError, match=str(error)):
        collect(patient(provider).complete(ask("Hi")))
    assert provider.num_asked == 1


def test_the_service_says_how_long_to_wait():
    started = time.monotonic()
    with MockOpenAI(in_turn(Fails(429, headers={"Retry-After": "0.3"}), Says())) as mock:
        provider = patient(OpenAIProvider(model="small", base_url=mock.url))
        with provider:
            assert collect(provider.complete(ask("Hi"))).text == "Hello, world."
    assert time.monotonic() - started >= 0.3
    assert len(mock.requests) == 2


def test_an_answer_that_breaks_off_is_never_passed_on_in_halves():
    with (
        MockOpenAI(in_turn(Says(cut=2), Fails(500), Says())) as mock,
        patient(OpenAIProvider(model="small", base_url=mock.url)) as provider,
    ):
        assert collect(provider.complete(ask("Hi"))).text == "Hello, world."


def test_the_waits_grow_and_differ_by_a_stream_of_their_own(capsys):
    provider = Counting(fail_with=(BUSY,) * 3)
    collect(Retrying(provider, first_seconds=0.01, seeds=Seeds(1)).complete(ask("Hi")))
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("The service is busy. Asking again in") for line in lines] == [True] * 3
    assert lines[-1].endswith("(3 of 3).")


def test_giving_up_ends_a_wait():
    provider = patient(Counting(fail_with=(BUSY,)), first_seconds=60)
    threading.Timer(0.1, provider.give_up).start()
    with pytest.raises(ProviderError):
        collect(provider.complete(ask("Hi")))


def test_every_attempt_of_a_journaled_provider_is_written_down(tmp_path):
    with (
        MockOpenAI(in_turn(Says(cut=2), Fails(500), Says())) as mock,
        Journal(tmp_path / "journal.sqlite") as journal,
        patient(Journaled(OpenAIProvider(model="small", base_url=mock.url), journal)) as provider,
    ):
        collect(provider.complete(ask("Hi")))
        assert (journal.tally.asked, journal.tally.unknown) == (1, 1), "the answer that broke off may have been billed"
