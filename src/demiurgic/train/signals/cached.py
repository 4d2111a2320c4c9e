"""A teacher whose word lies on disk (train/cache): final hidden states, likeliest words, or words drawn.

Each window's rows are checked against its text and against what was written, whenever they are read.

Shapes: N supervised tokens, D hidden width, K words.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.models.windows import Windows
from demiurgic.train.batch import SupervisedTokens, TokenBatch
from demiurgic.train.cache.hidden_rows import hidden_of, read_head
from demiurgic.train.cache.keep import KeepHidden, KeepSamples, KeepTopK
from demiurgic.train.cache.layout import Rows
from demiurgic.train.cache.reader import Cache
from demiurgic.train.cache.sample_rows import samples_of
from demiurgic.train.cache.top_k_rows import top_k_of
from demiurgic.train.chunk import Workspace
from demiurgic.train.head import Head
from demiurgic.train.signals import Draws, Samples, Signal, TeacherSignal, TeacherTokens, TopK
from demiurgic.train.signals.states import StateTokens

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


def cached_signal(cache: Cache, windows: Windows, *, device: "torch.device", bf16: bool) -> TeacherSignal:
    """The signal that a cache of these windows gives. `bf16` is for the head of one that keeps hidden states."""
    match cache.facts.keep:
        case KeepHidden():
            return CachedHidden(cache, windows, device=device, bf16=bf16)
        case KeepTopK():
            return CachedTopK(cache, windows, device=device)
        case KeepSamples():
            return CachedSamples(cache, windows, device=device)


class _Cached(ABC):
    """The rows of a micro-batch."""

    hidden_width: int | None = None

    def __init__(self, cache: Cache, windows: Windows, *, device: "torch.device") -> None:
        self.cache = cache
        self._windows = windows
        self._device = device

    def read(self, batch: TokenBatch, tokens: SupervisedTokens) -> TeacherTokens:
        """Raises UserError for text that the cache does not hold, and for rows that are not what was written."""
        if batch.windows is None:
            raise UserError(
                f"The cache {self.cache.folder} knows the windows it was made of, and nothing of text that the student "
                "writes. With on_policy, give a model or a served teacher."
            )
        asked_N = asked_of_stored(batch, self._windows, folder=self.cache.folder)
        found = self._decoded([self.cache.rows(window, windows=self._windows) for window in batch.windows])
        if asked_N.all():
            return found
        import torch

        return found.select(self._there(torch.from_numpy(asked_N.nonzero()[0])))

    @abstractmethod
    def _decoded(self, rows: Sequence[Rows]) -> TeacherTokens:
        """What the rows of some windows say, on the device."""

    def _there(self, tensor: "Tensor") -> "Tensor":
        """On the device, without waiting for it."""
        if self._device.type != "cuda":
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)


class CachedHidden(_Cached):
    """All that the teacher says, worked out anew by its own head."""

    signal: Signal = "hidden"

    def __init__(self, cache: Cache, windows: Windows, *, device: "torch.device", bf16: bool) -> None:
        super().__init__(cache, windows, device=device)
        facts = cache.facts
        assert facts.rule is not None
        head = read_head(cache.folder, facts.rule)
        self.hidden_width = facts.width
        there = replace(
            head,
            weight_VD=head.weight_VD.to(device),
            bias_V=None if head.bias_V is None else head.bias_V.to(device),
        )
        self._head = Head(there, vocab_size=facts.vocab_size, bf16=bf16)

    def _decoded(self, rows: Sequence[Rows]) -> TeacherTokens:
        keep = self.cache.facts.keep
        assert isinstance(keep, KeepHidden)
        # moved as it is stored: half the bytes where that is bf16
        hidden_ND = self._there(hidden_of(rows, keep)).float()
        return StateTokens({-1: hidden_ND}, self._head)


class CachedTopK(_Cached):
    """Its likeliest words, and the rest as one."""

    signal: Signal = "top_k"

    def _decoded(self, rows: Sequence[Rows]) -> TeacherTokens:
        keep = self.cache.facts.keep
        assert isinstance(keep, KeepTopK)
        return WordTokens(moved(top_k_of(rows, keep), self._there))


class CachedSamples(_Cached):
    """Words drawn from it."""

    signal: Signal = "samples"

    def _decoded(self, rows: Sequence[Rows]) -> TeacherTokens:
        facts = self.cache.facts
        assert isinstance(facts.keep, KeepSamples)
        found = samples_of(rows, facts.keep, vocab_size=facts.vocab_size)
        return WordTokens(moved(found, self._there))


@dataclass(frozen=True)
class WordTokens:
    """A few words for each of N tokens."""

    said: TopK | Samples

    def chunk(self, tokens: slice, workspace: Workspace) -> TopK | Samples:
        del workspace
        return moved(self.said, lambda tensor: tensor[tokens])

    def select(self, index_S: "Tensor") -> TeacherTokens:
        return WordTokens(moved(self.said, lambda tensor: tensor[index_S]))

    def hidden(self, layer: int) -> "Tensor":
        raise UserError(
            f"A loss asks for the teacher's hidden states (layer {layer}), and its words are all that was kept. Give "
            "the teacher itself, or a cache with keep: {use: hidden}."
        )


def moved(said: TopK | Samples, move: "Callable[[Tensor], Tensor]") -> TopK | Samples:
    """The same words with every tensor moved, cut or chosen from."""
    if isinstance(said, TopK):
        return TopK(move(said.ids_NK), move(said.log_NK), _of_each(said.log_tail_N, move))
    draws = {T: Draws(move(d.ids_NK), move(d.shares_NK), move(d.entropy_N)) for T, d in said.draws.items()}
    return Samples(draws)


def _of_each(tails: "Mapping[float, Tensor]", move: "Callable[[Tensor], Tensor]") -> "dict[float, Tensor]":
    return {T: move(tail_N) for T, tail_N in tails.items()}


def asked_of_stored(batch: TokenBatch, windows: Windows, *, folder: Path) -> "NDArray[np.bool_]":
    """Which of the tokens that are supervised in the windows of a batch are so in the batch, too: all, as a rule.

    Weights may have been scaled, or set to 0. Raises UserError when the batch holds other text than its windows.
    """
    import numpy as np

    assert batch.windows is not None
    index = np.asarray(batch.windows)
    asked_BT, stored_BT = (batch.weights_BT != 0).cpu().numpy(), windows.weights_NT[index] != 0
    wrong_BT = asked_BT & ~stored_BT
    wrong_BT |= batch.ids_BT.cpu().numpy() != windows.ids_NT[index]
    wrong_BT |= batch.documents_BT.cpu().numpy() != windows.documents_NT[index]
    if wrong_BT.any():
        raise UserError(
            f"A batch calls itself window {index[wrong_BT.any(axis=1)][0]} of {windows.folder} and holds other text, "
            f"on which the cache {folder} has nothing. Train on the very windows the cache was made for."
        )
    found: NDArray[np.bool_] = asked_BT[stored_BT]
    return found
