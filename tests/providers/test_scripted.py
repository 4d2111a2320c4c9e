"""The provider that needs no key: it answers by script, the same for the same request."""

import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.records import Message
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import ContextTooLongError, ProviderError, Request, Sampling, Usage, collect
from demiurgic.run.context import Context
from toy_providers import ask


def scripted(**options):
    return PROVIDERS.choose({"use": "scripted", **options})(Context())


def test_without_a_script_it_says_again_what_it_was_told():
    reply = collect(scripted().complete(ask("one two  three")))
    assert (reply.text, reply.finish, reply.usage) == ("one two  three", "stop", Usage(4, 4))


def test_a_conversation_gets_one_answer_after_the_other():
    provider = scripted(answers=["Hello.", "Fine."])
    talk = (Message("user", "Hi"), Message("assistant", "Hello."), Message("user", "How are you?"))
    assert collect(provider.complete(ask("Hi"))).text == "Hello."
    assert collect(provider.complete(Request(talk))).text == "Fine."
    assert collect(provider.complete(ask("Hi", sample=1))).text == "Fine."


def test_an_answer_may_depend_on_the_question():
    provider = scripted(answers=["a", "b", "c"], pick="question")
    given = [collect(provider.complete(ask(str(number)))).text for number in range(20)]
    assert set(given) == {"a", "b", "c"}
    assert given == [collect(provider.complete(ask(str(number)))).text for number in range(20)]


def test_an_answer_ends_at_the_limit_or_before_a_stop_text():
    provider = scripted(answers=["one two three"])
    assert collect(provider.complete(ask("Hi", max_tokens=2))).text == "one two"
    assert collect(provider.complete(ask("Hi", max_tokens=2))).finish == "length"
    assert collect(provider.complete(ask("Hi", stop=("three", " two")))).text == "one"


def test_a_question_beyond_its_context_is_refused():
    with pytest.raises(ContextTooLongError, match="5 words.*room for 4"):
        collect(scripted(context_length=4).complete(Request((Message("user", "a b c"),), Sampling(max_tokens=2))))


def test_a_share_of_questions_fails_once():
    provider, failed = scripted(failures=0.5, seed=3), []
    for number in range(40):
        try:
            collect(provider.complete(ask(str(number))))
        except ProviderError as error:
            assert error.retryable
            failed.append(number)
    assert 10 < len(failed) < 30
    assert [collect(provider.complete(ask(str(number)))).text for number in failed] == [str(n) for n in failed]


def test_a_share_that_is_none_is_refused():
    with pytest.raises(UserError, match="from 0 to 1"):
        scripted(failures=2.0)
