"""The adapter against a service of the tests: what it sends, what it reads, and what each failure becomes."""

import re
import time

import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, ToolCall
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import ContextTooLongError, Done, ProviderError, Request, Sampling, Text, Usage, collect
from demiurgic.providers.journal import Journal
from demiurgic.providers.openai import OPENAI_URL, OpenAIProvider
from demiurgic.providers.scores import logprobs_of
from demiurgic.run.context import Context
from mock_openai import Fails, MockOpenAI, Says

HI = Request((Message("system", "Be brief."), Message("user", "Hi")))
SECRET = "sk-very-secret-1234567890"


def asked(mock, request=HI, **options):
    with OpenAIProvider(model="small", base_url=mock.url, **options) as provider:
        return collect(provider.complete(request))


def failure(said, *, models=("large", "tiny"), **options):
    with MockOpenAI(said, models=models) as mock, pytest.raises(UserError) as caught:
        asked(mock, **options)
    return caught.value


def test_an_answer_comes_piece_by_piece_and_ends_with_its_usage():
    with MockOpenAI() as mock, OpenAIProvider(model="small", base_url=mock.url) as provider:
        *pieces, done = provider.complete(HI)
    assert pieces == [Text("Hello"), Text(", "), Text("world.")]
    assert (done.finish, done.usage) == ("stop", Usage(5, 3))
    assert isinstance(done, Done)


def test_what_the_service_says_beside_the_text_is_kept_raw():
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    with MockOpenAI(Says(reasoning="Greet them.", usage=usage)) as mock:
        raw = asked(mock).raw
    assert raw["id"] == "chat-1"
    assert raw["model"] == "small-2"
    assert raw["reasoning"] == "Greet them."
    assert raw["usage"]["prompt_tokens_details"]["cached_tokens"] == 4


def told(text):
    return {"token": text, "bytes": [*text.encode()], "logprob": -0.5, "top_logprobs": []}


@pytest.mark.parametrize(
    ("pieces", "reasoning", "wanted"),
    [
        ([("Greet", ""), ("</think>", ""), ("Hello", "Hello"), ("<end>", "")], ("Greet",), ["Hello", "<end>"]),
        (
            [("Greet", ""), ((" them</think>", "\n", "Hé"), "\nHé"), ("llo", "llo")],
            ("Greet", " them"),
            ["\n", "Hé", "llo"],
        ),
        ([("Hello", "Hello"), ("<end>", "")], (), ["Hello", "<end>"]),
    ],
)
def test_log_probabilities_are_those_of_the_answer_and_not_of_a_reasoning(pieces, reasoning, wanted):
    tokens = [tuple(map(told, [names] if isinstance(names, str) else names)) for names, _ in pieces]
    said = Says(tuple(text for _, text in pieces), reasoning=reasoning, logprobs=tuple(tokens))
    with MockOpenAI(said) as mock:
        reply = asked(mock, Request(HI.messages, Sampling(top_logprobs=1)))
    assert [place.word.text for place in logprobs_of(reply.raw)] == wanted


def test_only_what_was_chosen_is_sent():
    with MockOpenAI() as mock:
        asked(mock)
    assert mock.requests == [
        {
            "model": "small",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


def test_every_parameter_is_sent_under_its_name():
    sampling = Sampling(max_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=("\n",))
    with MockOpenAI() as mock:
        asked(mock, Request(HI.messages, sampling))
        asked(mock, Request(HI.messages, sampling), token_limit="max_completion_tokens", seeds=False)
    first, second = mock.requests
    assert {name: first[name] for name in ("max_tokens", "temperature", "top_p", "seed", "stop")} == {
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["\n"],
    }
    assert second["max_completion_tokens"] == 7
    assert "max_tokens" not in second
    assert "seed" not in second


def test_openai_itself_takes_the_newer_name_of_the_limit():
    with OpenAIProvider(model="small", base_url=OPENAI_URL, api_key="x") as provider:
        assert "max_completion_tokens" in provider._body(Request(HI.messages, Sampling(max_tokens=7)))


def test_an_answer_cut_at_the_limit_says_so():
    with MockOpenAI(Says(finish="length")) as mock:
        assert asked(mock).finish == "length"


@pytest.mark.parametrize("said", [Says((), refusal="I cannot."), Says(("I cannot.",), finish="content_filter")])
def test_a_refusal_is_an_answer_of_its_own_kind(said):
    with MockOpenAI(said) as mock:
        reply = asked(mock)
    assert (reply.text, reply.finish) == ("I cannot.", "refused")


def test_a_pair_of_surrogates_in_two_pieces_is_one_character():
    with MockOpenAI(Says(("\ud83d", "\ude00", "\ud83d"))) as mock:
        assert asked(mock).text == "😀\ufffd"


def test_a_service_that_counts_nothing_is_believed():
    with MockOpenAI(Says(usage=None)) as mock:
        assert asked(mock).usage is None


def test_too_many_requests_may_be_asked_again_when_the_service_says():
    error = failure(Fails(429, headers={"Retry-After": "7"}))
    assert (error.retryable, error.retry_after_seconds, error.maybe_billed) == (True, 7.0, False)


def test_a_date_to_come_back_at_is_understood():
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    assert 50 < failure(Fails(503, headers={"Retry-After": later})).retry_after_seconds <= 61
    assert failure(Fails(503, headers={"Retry-After": "soon"})).retry_after_seconds is None
    assert failure(Fails(503, headers={"retry-after-ms": "1500"})).retry_after_seconds == 1.5


@pytest.mark.parametrize("status, maybe_billed", [(500, False), (503, False), (529, False), (504, True), (408, True)])
def test_a_failing_service_may_be_asked_again(status, maybe_billed):
    error = failure(Fails(status))
    assert (error.retryable, error.maybe_billed) == (True, maybe_billed)


def test_a_stream_that_breaks_off_may_be_asked_again_and_may_have_been_billed():
    error = failure(Says(cut=1))
    assert (error.retryable, error.maybe_billed) == (True, True)


def test_an_error_inside_a_stream_is_told():
    error = failure(Says(error={"message": "the model fell over", "code": "server_error"}))
    assert isinstance(error, ProviderError)
    assert "the model fell over" in str(error)


def test_a_stream_that_is_not_json_may_be_asked_again():
    error = failure(Says(("Hello",), raw=b"data: <html>\n\n"))
    assert (error.retryable, error.maybe_billed) == (True, True)


def test_an_answer_that_is_no_stream_points_at_the_address():
    error = failure(Says((), finish=None, usage=None))
    assert not error.retryable
    assert "most end in /v1" in str(error)


def test_a_silent_service_is_given_up_on_and_may_have_been_billed():
    error = failure(Says(seconds=1.0), read_seconds=0.2)
    assert (error.retryable, error.maybe_billed) == (True, True)


def test_a_service_that_is_not_there_has_cost_nothing():
    with MockOpenAI() as mock:
        url = mock.url
    with OpenAIProvider(model="small", base_url=url) as provider, pytest.raises(ProviderError) as caught:
        collect(provider.complete(HI))
    assert (caught.value.retryable, caught.value.maybe_billed) == (True, False)
    assert url in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        Fails(400, "too long", "context_length_exceeded"),
        Fails(400, "This model's maximum context length is 10 tokens, you asked for 20."),
        Says((), error={"message": "too long", "code": "context_length_exceeded"}),
    ],
)
def test_a_question_that_does_not_fit_is_told_apart(said):
    assert isinstance(failure(said), ContextTooLongError)


def test_another_bad_request_is_told_in_the_words_of_the_service():
    error = failure(Fails(400, "temperature is not supported"))
    assert not isinstance(error, ProviderError)
    assert "temperature is not supported" in str(error)


def test_an_unknown_model_is_told_with_those_there_are():
    error = failure(Fails(404, "no such model", "model_not_found"))
    assert 'no model "small"' in str(error)
    assert "It has: large, tiny." in str(error)


def test_an_unknown_address_is_told_apart_from_an_unknown_model():
    assert "most end in /v1" in str(failure(Fails(404, "page not found"), models=None))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_by_the_name_of_its_variable(status):
    error = failure(Fails(status, f"Incorrect API key: {SECRET}"), api_key=SECRET, api_key_env="MY_KEY")
    assert "MY_KEY" in str(error)
    assert SECRET not in str(error)


def test_an_empty_account_is_not_asked_again():
    error = failure(Fails(429, "You exceeded your quota", "insufficient_quota"))
    assert not isinstance(error, ProviderError)
    assert "topped up" in str(error)


@pytest.mark.parametrize("word", ["eos", "end_turn"])
def test_another_word_for_the_end_is_understood(word):
    with MockOpenAI(Says(finish=word)) as mock:
        assert asked(mock).finish == "stop"


@pytest.mark.parametrize("word", ["tool_calls", "a_word_of_its_own", None])
def test_a_paid_answer_with_an_end_that_nobody_knows_is_kept_with_the_word_of_the_service(word, tmp_path):
    with (
        MockOpenAI(Says(finish=word)) as mock,
        OpenAIProvider(model="small", base_url=mock.url) as provider,
        Journal(tmp_path / "journal.sqlite") as journal,
    ):
        replies = [journal.answer(provider, HI) for _ in range(2)]
    assert len(mock.requests) == 1
    assert {(reply.text, reply.finish, reply.raw["finish_reason"]) for reply in replies} == {
        ("Hello, world.", "other", word)
    }


def test_a_service_that_says_it_broke_off_may_be_asked_again():
    error = failure(Says(finish="insufficient_system_resource"))
    assert (error.retryable, error.maybe_billed) == (True, True)


FLAGGED = "anthropic/small requires moderation on Anthropic. Your input was flagged."


@pytest.mark.parametrize(
    "said",
    [
        Fails(400, "The response was filtered.", "content_filter"),
        Fails(403, FLAGGED),
        Fails(403, "flagged", "moderation"),
        Says(("Well, ",), error={"message": "The response was filtered.", "code": "content_filter"}),
    ],
)
def test_a_question_that_the_service_will_not_hear_is_a_refusal_and_no_mistake(said, tmp_path):
    with (
        MockOpenAI(said) as mock,
        OpenAIProvider(model="small", base_url=mock.url) as provider,
        Journal(tmp_path / "journal.sqlite") as journal,
    ):
        replies = [journal.answer(provider, HI) for _ in range(2)]
    assert len(mock.requests) == 1
    assert {reply.finish for reply in replies} == {"refused"}
    assert re.search("filtered|flagged", replies[1].raw["refusal"])


def test_tool_calls_have_no_form_yet():
    call = Message("assistant", "", (ToolCall("1", "add", "{}"),))
    with MockOpenAI() as mock, pytest.raises(UserError, match="no form for tool calls"):
        asked(mock, Request((call,)))
    assert mock.requests == []


def test_closing_the_answer_closes_the_connection():
    with MockOpenAI(Says(("a",) * 10_000)) as mock, OpenAIProvider(model="small", base_url=mock.url) as provider:
        answer = provider.complete(HI)
        next(answer)
        answer.close()
        end = time.monotonic() + 5
        while mock.num_open and time.monotonic() < end:
            time.sleep(0.01)
        assert mock.num_open == 0


def chosen(**options):
    return PROVIDERS.choose({"use": "openai", "model": "small", **options})(Context())


def test_openai_wants_its_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="variable OPENAI_API_KEY is not set"):
        chosen()


def test_a_service_on_this_machine_gets_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with MockOpenAI() as mock, chosen(base_url=mock.url) as provider:
        collect(provider.complete(HI))
    assert SECRET not in str(mock.headers[0])


def test_a_key_goes_to_another_service_only_when_it_is_named(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with pytest.raises(UserError, match="api_key_env: EXAMPLE_API_KEY"):
        chosen(base_url="https://api.example.com/v1")
    with chosen(base_url="https://api.example.com/v1", api_key_env="OPENAI_API_KEY") as provider:
        assert SECRET not in str(provider.identity) + str(vars(provider)["_address"])


def test_a_named_key_is_sent(monkeypatch):
    monkeypatch.setenv("MY_KEY", f"{SECRET}\n")
    with MockOpenAI() as mock, chosen(base_url=mock.url, api_key_env="MY_KEY") as provider:
        collect(provider.complete(HI))
    assert mock.headers[0]["Authorization"] == f"Bearer {SECRET}"


SECRETS = ("https://me:word@example.com/v1", "https://example.com/v1?key=word")
NO_ADDRESSES = ("example.com/v1", "http://[::1", "http://here:port/v1", "http://exa mple.com", "ftp://example.com")


@pytest.mark.parametrize("url", [*SECRETS, *NO_ADDRESSES])
def test_an_address_with_a_secret_or_that_is_none_is_refused(url):
    with pytest.raises(UserError, match="base_url") as caught:
        chosen(base_url=url)
    assert "word" not in str(caught.value).replace("password", "")


def test_a_key_that_cannot_be_one_is_told_by_its_variable(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234…")
    with pytest.raises(UserError, match="OPENAI_API_KEY holds characters"):
        chosen()


def test_the_identity_is_the_service_and_the_model_or_what_it_is_given():
    with OpenAIProvider(model="small", base_url="http://localhost:1/v1") as provider:
        assert provider.identity == {
            "provider": "openai",
            "version": 1,
            "base_url": "http://localhost:1/v1",
            "model": "small",
        }
    with OpenAIProvider(model="x", base_url="http://localhost:1/v1", identity={"digest": "ab"}) as provider:
        assert provider.identity == {"digest": "ab"}
