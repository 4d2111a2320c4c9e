"""A Hugging Face model folder that answers, by its own weights in torch: the reference the other engines are held to.

Shapes: T tokens of a text, V vocabulary.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Model
from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.models.chat_template import chat_template
from demiurgic.models.load import context_length as trained_context
from demiurgic.models.load import load_model
from demiurgic.models.token_bytes import token_bytes
from demiurgic.models.tokenizer import dialect_of, encode_prompt, load_tokenizer, stop_ids
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import (
    ContextTooLongError,
    Done,
    Event,
    Finish,
    ProviderError,
    Request,
    Sampling,
    Text,
    Usage,
)
from demiurgic.providers.local_scores import place_of, score_ids
from demiurgic.providers.scores import Passage, Place, Scored, places_to_json
from demiurgic.providers.stop_texts import StopTexts
from demiurgic.providers.weights import (
    LocalProvider,
    check_sampling,
    fitting_context,
    room_for_answer,
)
from demiurgic.run.context import Context

if TYPE_CHECKING:
    import torch

BROKEN = "\ufffd"
"""What a decoder writes for bytes that are no character, or not yet one."""


VERSION = 2


@PROVIDERS.register("transformers", version=VERSION, needs=["torch", "transformers"], scores=True, answer_logprobs=True)
def transformers(run: Context, *, model: Model, context: int | None = None) -> "Transformers":
    """A model of an earlier step, in torch: exact, and on a CPU slower than its GGUF in llama_cpp.

    `context` is how many tokens question and answer may have together, the model's own when not given.
    """
    return Transformers(model.path, device=run.device, context_length=context, digest=model.digest)


class Transformers(LocalProvider):
    """Answers with a key-value cache in fp32, on any device torch knows.

    Raises UserError for a folder that is no model, or whose tokenizer has no chat template.
    """

    engine = "transformers"
    version = VERSION

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        threads: int = 0,
        context_length: int | None = None,
        digest: str | None = None,
    ) -> None:
        require("torch", "transformers")
        import torch

        self.path = folder
        self.digest = digest
        self._tokenizer = load_tokenizer(folder)
        template = chat_template(self._tokenizer)
        if template is None:
            raise UserError(
                f"{folder} has no chat template, so nobody knows how to ask it. Train it on conversations, or put the "
                "template it was trained with into the folder as chat_template.jinja."
            )
        self.chat_template = template
        self._dialect = dialect_of(self._tokenizer)
        self._stop_ids = frozenset(stop_ids(self._tokenizer, dialect=self._dialect))
        if threads:
            torch.set_num_threads(threads)
        self._model: Any = load_model(folder, device=device)
        self.trained_context = trained_context(self._model)
        self.context_length = fitting_context(context_length, trained=self.trained_context)
        self.num_parameters = sum(parameter.numel() for parameter in self._model.parameters())
        self._answering = threading.Lock()
        self._tokenizing = threading.Lock()  # a fast tokenizer may not be used from two threads at once

    def complete(self, request: Request) -> Iterator[Event]:
        check_sampling(request.sampling)
        with self._tokenizing:
            ids = encode_prompt(request.messages, self._tokenizer, dialect=self._dialect)
        room = room_for_answer(len(ids), request.sampling, context_length=self.context_length)
        with self._answering:
            yield from self._answer(ids, request.sampling, room=room)

    def score(self, passage: Passage, *, top_k: int) -> Scored:
        """Exact, in fp32, by the ids of the passage; the vocabulary is the tokenizer's, without the model's padding."""
        if len(passage.ids) > self.context_length:
            raise ContextTooLongError(
                f"The model's context is {self.context_length} tokens; a text to score has {len(passage.ids)}. "
                "Nothing was cut; tokenize with a shorter length."
            )
        if not all(0 <= id < len(self._words) for id in passage.ids):
            raise UserError(
                f"A text to score holds the id {max(passage.ids)}; the model's tokenizer has {len(self._words)} tokens."
            )
        with self._answering:
            return Scored(score_ids(self._opened(), passage.ids, words=self._words, top_k=top_k))

    @cached_property
    def _words(self) -> list[bytes | None]:
        with self._tokenizing:
            return token_bytes(self._tokenizer)

    def close(self) -> None:
        """Free the memory. A running answer breaks off at its next token; what waits is not begun."""
        self._model = None

    def _answer(self, ids: Sequence[int], sampling: Sampling, *, room: int) -> Iterator[Event]:
        words, stops = _Words(self._decode), StopTexts(sampling.stop)
        finish: Finish = "length"
        written = 0
        places: list[Place] = []
        for id, logits_V in _tokens(self._opened(), ids, sampling=sampling, vocab_size=len(self._words)):
            self._opened()
            written += 1
            if sampling.top_logprobs is not None:
                places.append(place_of(logits_V, id, words=self._words, top_k=sampling.top_logprobs))
            if id in self._stop_ids:
                finish = "stop"
                break
            if text := stops.feed(words.feed(id)):
                yield Text(text)
            if stops.met:
                finish = "stop"
                break
            if written == room:
                break
        if not stops.met and (text := stops.feed(words.flush()) + stops.flush()):
            yield Text(text)
        raw = None if sampling.top_logprobs is None else {"logprobs": places_to_json(places)}
        yield Done(finish, Usage(len(ids), written), raw)

    def _opened(self) -> Any:
        """The model. Raises ProviderError once it was closed."""
        if self._model is None:
            raise ProviderError("The model was closed.", retryable=False)
        return self._model

    def _decode(self, ids: Sequence[int]) -> str:
        with self._tokenizing:
            return str(self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))


class _Words:
    """Turns ids into text as they come; bytes are held back until they are a character."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._shown = 0
        """How many of the ids are in the text given so far; one or more before them are kept as context."""

    def feed(self, id: int) -> str:
        self._ids.append(id)
        before, text = self._decode(self._ids[: self._shown]), self._decode(self._ids)
        if text.endswith(BROKEN):
            return ""
        self._ids = self._ids[self._shown :]
        self._shown = len(self._ids)
        return text[len(before) :]

    def flush(self) -> str:
        """What was held back; bytes at the very end that never became a character are no text."""
        before, text = self._decode(self._ids[: self._shown]), self._decode(self._ids)
        return text[len(before) :].rstrip(BROKEN)


def _tokens(
    model: Any, ids: Sequence[int], *, sampling: Sampling, vocab_size: int
) -> "Iterator[tuple[int, torch.Tensor]]":
    """The ids that follow a prompt, one by one and without end, each with the logits [V] it was drawn from.

    V is `vocab_size`: what stands behind the tokenizer's ids pads the model, and is no token.
    """
    import torch
    from transformers import DynamicCache

    generator = torch.Generator()
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)
    cache = DynamicCache(config=model.config)
    new = list(ids)
    while True:
        logits_V = _next_logits(model, new, cache)[:vocab_size]
        new = [_drawn(logits_V, sampling, generator)]
        yield new[0], logits_V


def _next_logits(model: Any, ids: Sequence[int], cache: Any) -> "torch.Tensor":
    """Logits after the ids, of padding too, in fp32 on the CPU. The cache grows by them."""
    import torch

    # Not around the whole answer: what holds between two steps of a generator would hold for whoever reads it.
    with torch.no_grad():
        ids_1T = torch.tensor([list(ids)], device=model.device)
        output = model(ids_1T, past_key_values=cache, use_cache=True, logits_to_keep=1)
        logits: torch.Tensor = output.logits[0, -1].float().cpu()
    return logits


def _drawn(logits_V: "torch.Tensor", sampling: Sampling, generator: "torch.Generator") -> int:
    """The likeliest id at temperature 0, else one drawn from the smallest set of likely ids that holds `top_p`."""
    temperature = 1.0 if sampling.temperature is None else sampling.temperature
    if temperature == 0:
        return int(logits_V.argmax())
    probabilities_V = (logits_V.double() / temperature).softmax(-1)
    if sampling.top_p is not None and sampling.top_p < 1:
        sorted_V, order_V = probabilities_V.sort(descending=True, stable=True)
        before_V = sorted_V.cumsum(-1) - sorted_V
        probabilities_V[order_V[before_V >= sampling.top_p]] = 0
    return int(probabilities_V.multinomial(1, generator=generator))
