"""A GGUF file at work: logits, token ids and greedy continuations, by llama.cpp's own code. Knows nothing of sources.

Shapes: T positions of a text, V vocabulary.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from demiurgic.core.errors import UserError
from demiurgic.models.gguf.far import FarText
from demiurgic.models.gguf.llama_c import (
    F32,
    OFF,
    TokenBatch,
    captured_errors,
    library,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEQUENCES = 3
"""The far copy, the near copy, and the text that goes on from both (`far_logits_TV`)."""
MAX_BATCH = 512
"""Tokens in one call: their logits are held by llama.cpp at once (512 × 150,000 words are 307 MB)."""


class Llama:
    """A GGUF file, loaded on the CPU, with LoRA adapters applied at scale 1. Close it, or use it in a `with` block.

    The key-value cache is fp32 and attention plain, so that what is measured is the file and not the cache's rounding
    (llama.cpp's own default cache is fp16).

    Raises UserError with llama.cpp's own reason for a file or an adapter that it does not load.
    """

    def __init__(self, file: Path, *, context: int, threads: int, adapters: Sequence[Path] = ()) -> None:
        self._lib: Any = library()
        self._context: Any = None
        self._model: Any = self._load(file)
        try:
            self._context = self._start(file, context=context, threads=threads)
            self._apply(adapters)
        except UserError:
            self.close()
            raise
        self._vocabulary = self._lib.llama_model_get_vocab(self._model)
        self.context: int = context
        self.vocab_size: int = self._lib.llama_vocab_n_tokens(self._vocabulary)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the memory; a second call does nothing."""
        with captured_errors():
            if self._context:
                self._lib.llama_free(self._context)
            if self._model:
                self._lib.llama_model_free(self._model)
        self._context = self._model = None

    def logits_TV(self, ids: Sequence[int]) -> "NDArray[np.float32]":
        """Logits [T,V] after each token of a text, in fp32. Raises UserError for a text longer than the context."""
        import numpy as np

        self._restart(len(ids))
        logits_TV = np.empty((len(ids), self.vocab_size), np.float32)
        for start in range(0, len(ids), MAX_BATCH):
            part = ids[start : start + MAX_BATCH]
            self._decode(part, outputs=[1] * len(part))
            for position in range(len(part)):
                logits_TV[start + position] = self._logits_V(position)
        return logits_TV

    def far_logits_TV(self, text: FarText) -> "NDArray[np.float32]":
        """Logits [T,V] after each token of a text's second half, which reads the first from `gap` positions away.

        llama.cpp takes a sequence's positions without holes only. So the first half is read twice, in a sequence at 0
        and in one that ends where the second half begins; a third goes on from the first, and from the last token of
        the second. Raises UserError for a text that does not fit into the context one and a half times.
        """
        import numpy as np

        self._restart(text.num_read)
        far, near, both = range(SEQUENCES)
        half, begin = len(text.first), text.gap + len(text.first)
        self._decode(text.far, outputs=[0] * len(text.far), start=0, sequence=far)
        self._decode(text.first, outputs=[0] * half, start=text.gap, sequence=near)
        memory = self._lib.llama_get_memory(self._context)
        self._lib.llama_memory_seq_cp(memory, far, both, 0, half)
        self._lib.llama_memory_seq_cp(memory, near, both, begin - 1, begin)
        self._decode(text.second, outputs=[1] * len(text.second), start=begin, sequence=both)
        return np.stack([self._logits_V(position) for position in range(len(text.second))])

    def greedy(self, ids: Sequence[int], num_tokens: int) -> list[int]:
        """The `num_tokens` ids that follow a text when each is the likeliest; nothing stops it.

        Raises UserError when the text and what follows are longer than the context.
        """
        self._restart(len(ids) + num_tokens)
        for start in range(0, len(ids), MAX_BATCH):
            part = ids[start : start + MAX_BATCH]
            self._decode(part, outputs=[0] * (len(part) - 1) + [1])
        written = [int(self._logits_V(-1).argmax())]
        while len(written) < num_tokens:
            self._decode(written[-1:], outputs=[1])
            written.append(int(self._logits_V(-1).argmax()))
        return written

    def tokenize(self, text: str, *, special: bool, opening: bool = False) -> list[int]:
        """Token ids of a text. `special`: what looks like a special token is one, else it is plain characters.

        `opening` adds what the file says a text begins (and ends) with.
        """
        raw = text.encode("utf-8", "surrogatepass")
        room = len(raw) + 8
        while True:
            ids = (ctypes.c_int32 * room)()
            with captured_errors():
                count = self._lib.llama_tokenize(self._vocabulary, raw, len(raw), ids, room, opening, special)
            if count >= 0:
                return list(ids[:count])
            room = -count

    def _load(self, file: Path) -> Any:
        if not file.is_file():
            raise UserError(f"{file} is no file. Point to a GGUF file.")
        params = self._lib.llama_model_default_params()
        params.n_gpu_layers = 0
        with captured_errors() as errors:
            model = self._lib.llama_model_load_from_file(str(file).encode(), params)
        if not model:
            raise UserError(
                f"llama.cpp does not load {file} ({_reason(errors)}). The file is damaged, of an architecture it does "
                "not know, or no GGUF model: export it again."
            )
        return model

    def _start(self, file: Path, *, context: int, threads: int) -> Any:
        params = self._lib.llama_context_default_params()
        params.n_ctx, params.n_batch = context, min(context, MAX_BATCH)
        params.n_ubatch = params.n_batch
        params.n_threads = params.n_threads_batch = threads
        params.n_seq_max, params.kv_unified = SEQUENCES, True
        params.flash_attn_type, params.type_k, params.type_v = OFF, F32, F32
        with captured_errors() as errors:
            started = self._lib.llama_init_from_model(self._model, params)
        if not started:
            raise UserError(
                f"llama.cpp loads {file} and cannot run it with a context of {context} ({_reason(errors)})."
            )
        if self._lib.llama_n_ctx(started) < context or self._lib.llama_n_threads(started) != threads:
            raise AssertionError("llama.cpp did not take the context or the threads it was given")
        return started

    def _apply(self, adapters: Sequence[Path]) -> None:
        loaded = []
        for file in adapters:
            with captured_errors() as errors:
                adapter = self._lib.llama_adapter_lora_init(self._model, str(file).encode())
            if not adapter:
                raise UserError(
                    f"llama.cpp does not load the adapter {file} ({_reason(errors)}). Export it again, for this base."
                )
            loaded.append(adapter)
        if not loaded:
            return
        pointers = (ctypes.c_void_p * len(loaded))(*loaded)
        scales = (ctypes.c_float * len(loaded))(*[1.0] * len(loaded))
        with captured_errors():
            failed = self._lib.llama_set_adapters_lora(self._context, pointers, len(loaded), scales)
        if failed:
            raise UserError(
                f"llama.cpp cannot apply the adapters {', '.join(str(file) for file in adapters)} together."
            )

    def _restart(self, num_tokens: int) -> None:
        if not self._context:
            raise AssertionError("this file was closed")
        if not 0 < num_tokens <= self.context:
            raise UserError(f"A text of {num_tokens} tokens was given; wanted 1 to {self.context}, the context.")
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)

    def _decode(
        self, ids: Sequence[int], *, outputs: Sequence[int], start: int | None = None, sequence: int = 0
    ) -> None:
        """Read on: in sequence 0 from where it is, or from position `start` of another."""
        tokens = (ctypes.c_int32 * len(ids))(*ids)
        wanted = (ctypes.c_int8 * len(ids))(*outputs)
        batch = TokenBatch(n_tokens=len(ids), token=tokens, logits=wanted)
        if start is not None:
            named = ctypes.pointer(ctypes.c_int32(sequence))
            batch.pos = (ctypes.c_int32 * len(ids))(*range(start, start + len(ids)))
            batch.n_seq_id = (ctypes.c_int32 * len(ids))(*[1] * len(ids))
            batch.seq_id = (ctypes.POINTER(ctypes.c_int32) * len(ids))(*[named] * len(ids))
        with captured_errors() as errors:
            code = self._lib.llama_decode(self._context, batch)
        if code:
            raise UserError(f"llama.cpp does not read these tokens (code {code}: {_reason(errors)}).")

    def _logits_V(self, position: int) -> "NDArray[np.float32]":
        """A view that the next call overwrites."""
        import numpy as np

        row = self._lib.llama_get_logits_ith(self._context, position)
        if not row:
            raise AssertionError(f"llama.cpp has no logits at {position}")
        return np.ctypeslib.as_array(row, shape=(self.vocab_size,))


def _reason(errors: Sequence[str]) -> str:
    return errors[0] if errors else "it gives no reason"
