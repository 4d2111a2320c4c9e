"""What providers with weights on this machine share: the facts of their model, and what they make of a request.

Knows no engine.
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from demiurgic.core.errors import UserError
from demiurgic.core.hashing import digest_file, digest_files
from demiurgic.core.metric import JSON
from demiurgic.providers.base import ContextTooLongError, Provider, Sampling


class LocalProvider(Provider):
    """Answers with a model in this process, one answer at a time: what is asked meanwhile waits its turn.

    So the same question, parameters and seed get the same answer, whatever else is asked. (llama.cpp's logits differ
    by 1e-3 between a prompt alone, in a batch with another, and on top of a cached beginning.)

    Where a request leaves a choice open, tokens are drawn at temperature 1 from the whole distribution, on every
    engine.
    """

    context_length: int
    """How many tokens question and answer may have together."""
    num_parameters: int
    chat_template: str
    """The model's chat template, in Jinja."""

    path: Path
    """The file or folder with the weights."""
    digest: str | None
    """Of the artifact, where `path` is one."""
    trained_context: int
    """The longest context that the model was made for."""

    @property
    @abstractmethod
    def engine(self) -> str:
        """The provider's name in the registry."""

    @property
    @abstractmethod
    def version(self) -> int:
        """Raised when the same request gets another prompt, or is drawn in another way."""

    @cached_property
    def identity(self) -> Mapping[str, JSON]:
        """The weights, the engine with its version, and a context shorter than the model's own: it may end answers
        early, and some models scale their positions by it.
        """
        digest = self.digest or content_digest(self.path)
        shorter = {"context": self.context_length} if self.context_length != self.trained_context else {}
        return {"provider": self.engine, "version": self.version, "digest": digest, **shorter}


def content_digest(path: Path) -> str:
    """sha256 over a file, or over the names and files of a folder as an artifact's digest is."""
    if path.is_file():
        return digest_file(path)
    files = sorted(found for found in path.rglob("*") if found.is_file())
    return digest_files((found.relative_to(path).as_posix(), digest_file(found)) for found in files)


def fitting_context(asked: int | None, *, trained: int) -> int:
    """The context to run with. Raises UserError for more than the model was made for, or none."""
    if asked is None:
        return trained
    if not 0 < asked <= trained:
        raise UserError(f"A context of {asked} tokens was asked for; this model's goes up to {trained}. Ask for less.")
    return asked


def room_for_answer(num_prompt_tokens: int, sampling: Sampling, *, context_length: int) -> int:
    """How many tokens an answer may have: what was asked for, or the rest of the context.

    Raises ContextTooLongError when the question with the answer is longer than the context.
    """
    wanted = sampling.max_tokens or 1
    if num_prompt_tokens + wanted > context_length:
        asked = f" and {wanted} were asked for the answer" if sampling.max_tokens else ", which leaves no answer room"
        raise ContextTooLongError(
            f"The model's context is {context_length} tokens; the question has {num_prompt_tokens}{asked}. "
            "Nothing was cut. Shorten the question, or ask for a shorter answer."
        )
    return sampling.max_tokens or context_length - num_prompt_tokens


def check_sampling(sampling: Sampling) -> None:
    """Raises UserError for values that mean nothing."""
    if sampling.max_tokens is not None and sampling.max_tokens < 1:
        raise UserError(f"max_tokens is {sampling.max_tokens}; wanted 1 or more.")
    if sampling.temperature is not None and not 0 <= sampling.temperature < float("inf"):
        raise UserError(f"temperature is {sampling.temperature}; wanted 0 (the likeliest token) or more.")
    if sampling.top_p is not None and not 0 < sampling.top_p <= 1:
        raise UserError(f"top_p is {sampling.top_p}; wanted more than 0, and 1 (all tokens) at most.")
    if "" in sampling.stop:
        raise UserError("A stop text is empty; wanted at least one character.")
