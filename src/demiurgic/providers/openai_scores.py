"""The log-probabilities that services built like OpenAI tell, in their three forms.

Of a prompt given as ids: `prompt_logprobs`, as vLLM has it. Of a prompt given as text: `echo` with `logprobs`, as in
OpenAI's completions. Of the tokens of an answer: `logprobs` of a chat completion.

An answer that lacks what was asked for, or holds what is no log-probability, raises UserError: nothing is guessed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from demiurgic.core.errors import UserError
from demiurgic.providers.openai_errors import Address
from demiurgic.providers.scores import Passage, Place, Scored, Word, without_log_probabilities

NEVER = -1000.0
"""What no model means by a number, but by "impossible" (vLLM writes -9999 for minus infinity, which JSON cannot)."""
ROUNDING = 1e-3
"""By so much a log-probability may be above 0."""
TOKEN_ID = "token_id:"
"""What stands before a number where a service writes ids in place of tokens (vLLM, `return_tokens_as_token_ids`)."""

Read = TypeVar("Read")


def score_body(passage: Passage, *, top_k: int) -> dict[str, Any]:
    """What is sent to `/v1/completions`; what is not OpenAI's own stands in `extra_body`."""
    if passage.text is None:
        # One token has to be written where none may be asked for.
        return {"prompt": list(passage.ids), "max_tokens": 1, "extra_body": {"prompt_logprobs": top_k}}
    return {"prompt": passage.text, "max_tokens": 0, "echo": True, "logprobs": top_k}


def read_scores(choice: Mapping[str, Any], passage: Passage, *, top_k: int, at: Address) -> Scored:
    """The first choice of a completion. Raises UserError where it is not what was asked for."""
    if passage.text is None:
        return _explained(lambda: _of_ids(choice, passage.ids, top_k=top_k, at=at), at=at)
    return _explained(lambda: _of_text(choice, top_k=top_k, at=at), at=at)


def read_answer_token(token: Mapping[str, Any], *, at: Address) -> Place:
    """One token of a chat answer. Raises UserError where it is not what was asked for."""
    return _explained(lambda: _answer_token(token), at=at)


def _explained(read: Callable[[], Read], *, at: Address) -> Read:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{at} tells log-probabilities in a form that nobody knows ({type(error).__name__}: {error}). Check that "
            "it is a service like OpenAI's or vLLM's, and its version."
        ) from None


def _of_ids(choice: Mapping[str, Any], ids: Sequence[int], *, top_k: int, at: Address) -> Scored:
    told = choice.get("prompt_logprobs")
    if told is None:
        _none(
            at,
            "its answer holds no prompt_logprobs. vLLM has them; a service that echoes a text is asked with ask: text",
        )
    if len(told) != len(ids):
        raise ValueError(f"{len(told)} places for {len(ids)} tokens")
    places = [Place(Word(0.0, ids[0]), ())]
    for id, words in zip(ids[1:], told[1:], strict=True):
        named = {int(name): _vllm_word(int(name), word) for name, word in words.items()}
        likely = [named[int(name)] for name, word in words.items() if word.get("rank") is None or word["rank"] <= top_k]
        places.append(Place(named[id], _top(likely, top_k)))
    return Scored(tuple(places))


def _vllm_word(id: int, word: Mapping[str, Any]) -> Word:
    return Word(_logprob(word["logprob"]), id, _text(word.get("decoded_token")))


def _of_text(choice: Mapping[str, Any], *, top_k: int, at: Address) -> Scored:
    told = choice.get("logprobs")
    if not told or not told.get("tokens") or told.get("token_logprobs") is None:
        _none(at, "its answer holds no logprobs of the text. vLLM is asked with ask: ids")
    tokens, logprobs, tops = told["tokens"], told["token_logprobs"], told.get("top_logprobs")
    if tops is None:
        _none(at, "it tells how likely the text is, and not which words were likelier (top_logprobs)")
    if not len(tokens) == len(logprobs) == len(tops):
        raise ValueError(f"{len(tokens)} tokens, {len(logprobs)} log-probabilities and {len(tops)} lists of words")
    places = [Place(_named(tokens[0], 0.0), ())]
    for token, logprob, top in zip(tokens[1:], logprobs[1:], tops[1:], strict=True):
        words = [_named(name, _logprob(value)) for name, value in top.items()]
        places.append(Place(_named(token, _logprob(logprob)), _top(words, top_k)))
    return Scored(tuple(places))


def _answer_token(token: Mapping[str, Any]) -> Place:
    top = [_chat_word(word) for word in token["top_logprobs"]]
    return Place(_chat_word(token), _top(top, len(top)))


def _chat_word(word: Mapping[str, Any]) -> Word:
    named = _named(word["token"], _logprob(word["logprob"]))
    given = word.get("bytes")
    return named if given is None else Word(named.logprob, named.id, named.text, bytes(given))


def _named(token: Any, logprob: float) -> Word:
    if not isinstance(token, str):
        raise TypeError(f"a token is {token!r}, which is no text")
    number = token.removeprefix(TOKEN_ID)
    return Word(logprob, int(number)) if number != token and number.isdecimal() else Word(logprob, text=token)


def _text(token: Any) -> str | None:
    if token is not None and not isinstance(token, str):
        raise TypeError(f"a token is {token!r}, which is no text")
    return token


def _logprob(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value > ROUNDING:
        raise ValueError(f"{value!r} is no log-probability")
    return max(NEVER, min(0.0, float(value)))


def _top(words: Sequence[Word], top_k: int) -> tuple[Word, ...]:
    """The likeliest first, those that were called impossible left out."""
    possible = [word for word in words if word.logprob > NEVER]
    return tuple(sorted(possible, key=lambda word: -word.logprob)[:top_k])


def _none(at: Address, why: str) -> NoReturn:
    raise UserError(f"{without_log_probabilities(str(at))} Here {why}.")
