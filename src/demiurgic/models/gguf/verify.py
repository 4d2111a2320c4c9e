"""The proof that a GGUF is its source: token ids, header, weights, predictions near and far, and what it writes.

The file runs by llama.cpp, the source in fp32 by transformers. One of them is in memory at a time: the file goes first,
so that a broken one is known before the large source is loaded, and its logits wait on the disk (positions × words × 4
bytes: 2.2 GB for 24 texts of 128 tokens, 8 halves of them from far away, and 150,000 words; two models of 7B would need
28 GB and more of memory).

Shapes: T positions of a text, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from demiurgic.core.metric import Metric
from demiurgic.models.compare import Divergence, divergence
from demiurgic.models.gguf.architecture import read_architecture
from demiurgic.models.gguf.far import FarText, far_logits_TV, far_texts
from demiurgic.models.gguf.header import check_header
from demiurgic.models.gguf.limits import TIE_NATS
from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.tokenization import compare_tokens, opening_ids
from demiurgic.models.gguf.verdict import GreedyCheck, Verified
from demiurgic.models.gguf.weights import take_weights
from demiurgic.models.load import load_model
from demiurgic.models.lora import apply_adapter
from demiurgic.models.probes import probe_sequences
from demiurgic.models.tokenizer import load_tokenizer
from demiurgic.models.windows import Windows
from demiurgic.stats import bootstrap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

NUM_PROMPTS = 8
CONTINUED_TOKENS = 32


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """An adapter as PEFT wrote it, and the GGUF made of it."""

    folder: Path
    file: Path


def verify(
    file: Path,
    source_folder: Path,
    *,
    windows: Windows | None = None,
    adapter: AdapterFiles | None = None,
    threads: int = 1,
    device: str = "cpu",
    scratch: Path | None = None,
) -> Verified:
    """Compare a GGUF with the Hugging Face folder it was made from, on documents of `windows` or on our own texts.

    With `adapter`, both sides have it applied: by PEFT and by llama.cpp. `scratch` is a folder on a disk with room for
    the file's logits. Raises UserError for a file that llama.cpp does not load, and for fewer than two documents.
    """
    tokenizer = load_tokenizer(source_folder)
    architecture = read_architecture(source_folder)
    texts = _texts(tokenizer, windows, context=architecture.context)
    with TemporaryDirectory(dir=scratch, prefix="logits-") as folder:
        kept = _Kept(Path(folder))
        adapters = [adapter.file] if adapter is not None else []
        with Llama(file, context=texts.room, threads=threads, adapters=adapters) as llama:
            tokens = compare_tokens(llama, tokenizer)
            written = _by_file(llama, texts, kept)
        model = load_model(source_folder, device=device, dtype="float32")
        if adapter is not None:
            model = _with_base_kept(model, adapter.folder, texts.sequences, kept)
        compared = [_compare(_logits_TV(model, ids), number, kept) for number, ids in enumerate(texts.sequences)]
        choices = [_judge(model, prompt, ids) for prompt, ids in zip(texts.prompts, written, strict=True)]
        weights = take_weights(model, file, source_folder) if adapter is None else None
        running = _running(model, texts, kept) if weights is not None else []
        far = [_to_file(far_logits_TV(model, text), number, kept, FAR) for number, text in enumerate(texts.far)]
    effects = [each.effect for each in compared if each.effect is not None]
    return Verified(
        tokens=tokens,
        kl=_mean_kl([each.to_file for each in compared]),
        divergence=_joined([each.to_file for each in compared]),
        clear_disagreements=sum(each.clear_disagreements for each in compared),
        greedy=GreedyCheck(len(choices), choices.count("equal"), choices.count("tied")),
        header=check_header(file, architecture),
        weights=weights,
        running_kl=_joined_kl(running),
        far_kl=_joined_kl(far),
        effect_kl=_joined_kl(effects),
    )


@dataclass(frozen=True, slots=True)
class _Texts:
    """What both sides read."""

    sequences: Sequence[Sequence[int]]
    far: Sequence[FarText]
    num_continued: int
    """Tokens that follow a prompt."""

    @property
    def prompts(self) -> list[Sequence[int]]:
        return [ids[: max(1, len(ids) // 2)] for ids in self.sequences[:NUM_PROMPTS]]

    @property
    def room(self) -> int:
        """Tokens that llama.cpp has in memory at once."""
        return max(*(len(ids) + self.num_continued for ids in self.sequences), *(text.num_read for text in self.far))


def _texts(tokenizer: "PreTrainedTokenizerFast", windows: Windows | None, *, context: int) -> _Texts:
    num_continued = min(CONTINUED_TOKENS, context // 4)
    sequences = _sequences(tokenizer, windows, context=context - num_continued)
    return _Texts(sequences, far_texts(sequences, context=context), num_continued)


def _by_file(llama: Llama, texts: _Texts, kept: "_Kept") -> list[list[int]]:
    """What the file writes after each prompt; its logits are kept."""
    for number, ids in enumerate(texts.sequences):
        kept.put(llama.logits_TV(ids), number)
    for number, text in enumerate(texts.far):
        kept.put(llama.far_logits_TV(text), number, FAR)
    return [llama.greedy(prompt, texts.num_continued) for prompt in texts.prompts]


def _running(model: "PreTrainedModel", texts: _Texts, kept: "_Kept") -> list[Divergence]:
    return [_to_file(_logits_TV(model, ids), number, kept) for number, ids in enumerate(texts.sequences)]


def _sequences(tokenizer: "PreTrainedTokenizerFast", windows: Windows | None, *, context: int) -> list[list[int]]:
    """The texts to compare on; our own begin as the tokenizer begins a text, those of windows as they were packed."""
    opening = opening_ids(tokenizer) if windows is None else []
    probes = probe_sequences(tokenizer, windows=windows, context=context - len(opening))
    return [opening + ids for ids in probes]


FILE = "file"
BASE = "base"
FAR = "far"


@dataclass(frozen=True)
class _Kept:
    """Logits on disk: those of the file and, for an adapter, of the base without it; one array [T,V] per sequence."""

    folder: Path

    def put(self, logits_TV: "NDArray[np.float32]", number: int, of: str = FILE) -> None:
        import numpy as np

        np.save(self._path(number, of), logits_TV)

    def has(self, number: int, of: str) -> bool:
        return self._path(number, of).exists()

    def logits_TV(self, number: int, of: str = FILE) -> "NDArray[np.float32]":
        import numpy as np

        logits_TV: NDArray[np.float32] = np.load(self._path(number, of))
        return logits_TV

    def _path(self, number: int, of: str) -> Path:
        return self.folder / f"{of}-{number}.npy"


def _with_base_kept(
    model: "PreTrainedModel", adapter: Path, sequences: Sequence[Sequence[int]], kept: _Kept
) -> "PreTrainedModel":
    """The model with the adapter; what it said without it is kept."""
    for number, ids in enumerate(sequences):
        kept.put(_logits_TV(model, ids), number, BASE)
    return apply_adapter(model, adapter)


@dataclass(frozen=True, slots=True)
class _Compared:
    """One sequence: the source beside the file, and beside the base where there is an adapter."""

    to_file: Divergence
    clear_disagreements: int
    effect: Divergence | None


def _compare(source_TV: "NDArray[np.float32]", number: int, kept: _Kept) -> _Compared:
    effect = _to_file(source_TV, number, kept, BASE) if kept.has(number, BASE) else None
    chosen_T = kept.logits_TV(number)[:, : source_TV.shape[1]].argmax(axis=1)
    clear_disagreements = int((_gaps_T(source_TV, chosen_T) > TIE_NATS).sum())
    return _Compared(_to_file(source_TV, number, kept), clear_disagreements, effect)


def _to_file(source_TV: "NDArray[np.float32]", number: int, kept: _Kept, of: str = FILE) -> Divergence:
    import torch

    return divergence([(torch.from_numpy(source_TV), torch.from_numpy(kept.logits_TV(number, of)))])


def _judge(model: Any, prompt: Sequence[int], written: Sequence[int]) -> Literal["equal", "tied", "other"]:
    """Whether each id that the file wrote after a prompt is the source's likeliest there, or ties with it.

    One pass over the whole text says so: as long as the ids are the same, the source has the same text before it.
    """
    import numpy as np

    logits_TV = _logits_TV(model, [*prompt, *written])[len(prompt) - 1 : -1]
    gap_T = _gaps_T(logits_TV, np.asarray(written))
    if (gap_T > TIE_NATS).any():
        return "other"
    return "equal" if (gap_T == 0).all() else "tied"


def _gaps_T(source_TV: "NDArray[np.float32]", chosen_T: "NDArray[np.int64]") -> "NDArray[np.float32]":
    """How much likelier (in nats) the source's likeliest token is than the chosen one, at each position."""
    import numpy as np

    gaps_T: NDArray[np.float32] = source_TV.max(axis=1) - source_TV[np.arange(len(chosen_T)), chosen_T]
    return gaps_T


def _logits_TV(model: Any, ids: Sequence[int]) -> "NDArray[np.float32]":
    import torch

    with torch.no_grad():
        logits_TV = model(torch.tensor([list(ids)], device=model.device), use_cache=False).logits[0]
    found: NDArray[np.float32] = logits_TV.float().cpu().numpy()
    return found


def _mean_kl(each: Sequence[Divergence]) -> Metric:
    names = [str(number) for number in range(len(each))]
    nats = [one.mean_kl * one.positions for one in each]
    measured = bootstrap.Measured(names, names, nats, [one.positions for one in each])
    return bootstrap.ratio(measured, seed=0)


def _joined_kl(each: Sequence[Divergence]) -> float | None:
    return _joined(each).mean_kl if each else None


def _joined(each: Sequence[Divergence]) -> Divergence:
    positions = sum(one.positions for one in each)
    return Divergence(
        mean_kl=sum(one.mean_kl * one.positions for one in each) / positions,
        max_kl=max(one.max_kl for one in each),
        top1=sum(one.top1 * one.positions for one in each) / positions,
        positions=positions,
    )
