"""A GGUF file that answers, in llama.cpp: the engine for a CPU."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Gguf
from demiurgic.core.console import size
from demiurgic.core.errors import UserError
from demiurgic.core.optional import require
from demiurgic.core.records import Message
from demiurgic.models.gguf.metadata import Metadata, read_metadata
from demiurgic.models.gguf.threads import threads_for
from demiurgic.providers import PROVIDERS
from demiurgic.providers.base import (
    Done,
    Event,
    Finish,
    ProviderError,
    Request,
    Sampling,
    Text,
    Usage,
    refuse_top_logprobs,
)
from demiurgic.providers.gguf_dialect import chat_template_of, dialect_of_gguf
from demiurgic.providers.llama_server import LlamaServer
from demiurgic.providers.stop_texts import StopTexts
from demiurgic.providers.weights import (
    LocalProvider,
    check_sampling,
    fitting_context,
    room_for_answer,
)
from demiurgic.run.context import Context
from demiurgic.run.engine import usable_cores

RANDOM_SEED = 2**32 - 1
"""What llama.cpp takes as "any seed"; all smaller numbers are seeds."""
CACHE_BYTES = 2
"""Of one number in the key-value cache: fp16."""
CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of cgroups, in version 2 and in version 1."""

# llama.cpp would draw with its own habits (top_k 40, min_p 0.05, top_p before temperature).
NEUTRAL: Mapping[str, Any] = {"samplers": ["temperature", "top_p"], "cache_prompt": False, "n_probs": 0}


VERSION = 1


@PROVIDERS.register("llama_cpp", version=VERSION, needs=["xllamacpp", "transformers"])
def llama_cpp(run: Context, *, model: Gguf, context: int | None = None) -> "LlamaCpp":
    """A GGUF file of an earlier step, in llama.cpp on this machine's cores.

    `context` is how many tokens question and answer may have together, the model's own when not given.
    """
    return LlamaCpp(
        model.file, device=run.device, threads=run.engine.workers, context_length=context, digest=model.digest
    )


class LlamaCpp(LocalProvider):
    """Answers from a GGUF file. Its key-value cache is llama.cpp's own fp16.

    Raises UserError for a file that is damaged or has no chat template, and for a context that memory cannot hold.
    """

    engine = "llama_cpp"
    version = VERSION

    def __init__(
        self,
        file: Path,
        *,
        device: str = "auto",
        threads: int = 0,
        context_length: int | None = None,
        digest: str | None = None,
    ) -> None:
        require("xllamacpp", "transformers")
        self.path = file
        self.digest = digest
        metadata = read_metadata(file)
        self._dialect = dialect_of_gguf(metadata, file=file)
        self.chat_template = chat_template_of(metadata, file=file)
        self.trained_context = _trained_context(metadata, file=file)
        self.context_length = fitting_context(context_length, trained=self.trained_context)
        self.num_parameters = metadata.num_parameters
        self._controls: dict[str, list[int]] = {}
        _refuse_huge_cache(metadata, self.context_length)
        self._server = LlamaServer(
            file,
            threads=threads or threads_for(file, cores=usable_cores()),
            context_length=self.context_length,
            use_gpu=_use_gpu(device),
        )

    def complete(self, request: Request) -> Iterator[Event]:
        check_sampling(request.sampling)
        refuse_top_logprobs(request.sampling, provider=self.engine)
        ids = self._prompt(request.messages)
        room = room_for_answer(len(ids), request.sampling, context_length=self.context_length)
        yield from self._answer({"prompt": ids, "n_predict": room, **_drawing(request.sampling)}, request.sampling.stop)

    def close(self) -> None:
        """Free the memory; a running answer breaks off."""
        self._server.close()

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation; what looks like a special token in a message is plain characters."""
        ids: list[int] = []
        for span in self._dialect.render(messages, generation_prompt=True):
            ids += self._control_ids(span.text) if span.control else self._ids(span.text, special=False)
        return ids

    def _control_ids(self, text: str) -> list[int]:
        """What a template writes between the messages comes again and again."""
        if text not in self._controls:
            self._controls[text] = self._ids(text, special=True)
        return self._controls[text]

    def _ids(self, text: str, *, special: bool) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": special}
        return [int(id) for id in self._server.ask("/tokenize", body)["tokens"]]

    def _answer(self, body: Mapping[str, Any], stop: Sequence[str]) -> Iterator[Event]:
        # Stop texts are looked for here, as in every engine; closing the stream ends the work.
        stops = StopTexts(stop)
        for event in self._server.stream("/completion", body):
            if text := stops.feed(event["content"]):
                yield Text(text)
            if not (event["stop"] or stops.met):
                continue
            if not stops.met and (text := stops.flush()):
                yield Text(text)
            finish: Finish = "length" if event.get("stop_type") == "limit" else "stop"
            yield Done(finish, Usage(event["tokens_evaluated"], event["tokens_predicted"]))
            return
        raise ProviderError("llama.cpp broke off before the end of its answer.", retryable=False, maybe_billed=True)


def _drawing(sampling: Sampling) -> dict[str, Any]:
    return {
        **NEUTRAL,
        "temperature": 1.0 if sampling.temperature is None else sampling.temperature,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "seed": RANDOM_SEED if sampling.seed is None else sampling.seed % RANDOM_SEED,
    }


def _trained_context(metadata: Metadata, *, file: Path) -> int:
    trained = metadata.own("context_length")
    if not trained:
        raise UserError(f"{file} does not say how long its context is ({metadata.architecture}.context_length).")
    return int(trained)


def _refuse_huge_cache(metadata: Metadata, context_length: int) -> None:
    """llama.cpp dies, or drowns the machine, where the key-value cache does not fit."""
    needed = _cache_bytes(metadata, context_length)
    memory = _memory_bytes()
    if needed > memory:
        raise UserError(
            f"A context of {context_length:,} tokens needs {size(needed)} for its key-value cache; there are "
            f"{size(memory)} of memory here. Ask for a smaller one: context: {context_length * memory // needed // 2} "
            "in a recipe, or --context."
        )


def _memory_bytes() -> int:
    """Of the machine, or of the container that we run in where that is less."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # there is none, or it is the word "max"
            limits.append(int(path.read_text()))
    return min(limits)


def _cache_bytes(metadata: Metadata, context_length: int) -> int:
    num_heads = metadata.own("attention.head_count") or 0
    kv_heads = metadata.own("attention.head_count_kv") or num_heads
    layers = int(metadata.own("block_count") or 0)
    head_dim = int(metadata.own("embedding_length") or 0) // max(num_heads if isinstance(num_heads, int) else 1, 1)
    widths = (metadata.own("attention.key_length") or head_dim) + (metadata.own("attention.value_length") or head_dim)
    num_kv = sum(kv_heads) if isinstance(kv_heads, list) else layers * kv_heads
    return int(num_kv * widths * context_length * CACHE_BYTES)


def _use_gpu(device: str) -> bool:
    """Raises UserError for a device that this llama.cpp was not built for."""
    import xllamacpp

    has_gpu = any("GPU" in str(found["type"]) for found in xllamacpp.get_device_info())
    if device in ("auto", "cpu"):
        return has_gpu and device == "auto"
    if not has_gpu:
        raise UserError(
            f'The device {device} was asked for, and llama.cpp finds no GPU here. Use device "auto" or "cpu".'
        )
    return True
