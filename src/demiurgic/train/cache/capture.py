"""Asks a teacher about every window and appends what is kept. Knows neither configs nor artifacts.

Windows are asked in batches that begin at multiples of the batch's size, so that an interrupted capture asks the very
batches that an uninterrupted one would have asked.

Shapes: N supervised tokens of a batch, V vocabulary, R draws.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.core.seeds import Seeds
from demiurgic.models.precision import Precision, autocast
from demiurgic.models.windows import Windows
from demiurgic.train.batch import SupervisedTokens, TokenBatch
from demiurgic.train.cache.checksum import text_checksum
from demiurgic.train.cache.hidden_rows import hidden_rows
from demiurgic.train.cache.keep import KeepHidden, KeepSamples, KeepTopK
from demiurgic.train.cache.layout import WORDS, Rows, WordBits
from demiurgic.train.cache.sample_rows import draw, sample_rows, uniforms
from demiurgic.train.cache.top_k_rows import fitted, likeliest, top_k_rows
from demiurgic.train.cache.writer import CacheWriter
from demiurgic.train.chunk import Prediction, Workspace, tokens_per_chunk
from demiurgic.train.signals import Samples, TeacherSignal, TeacherTokens, TopK

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Capture:
    """A teacher, the windows it is asked about, and what of its word is kept."""

    teacher: TeacherSignal
    windows: Windows
    keep: KeepHidden | KeepTopK | KeepSamples
    batch: int
    device: "torch.device"
    precision: Precision
    seeds: Seeds | None
    """For words drawn alone."""
    workspace: Workspace = field(default_factory=Workspace)

    def run(self, writer: CacheWriter, *, after_batch: Callable[[], None]) -> None:
        """Ask about all windows that `writer` does not have. `after_batch` is called when a batch is appended.

        Raises UserError for a teacher whose word is no number.
        """
        while writer.num_windows < len(self.windows):
            first = writer.num_windows
            started = time.perf_counter()
            chosen = range(first, min(first - first % self.batch + self.batch, len(self.windows)))
            for window, rows in zip(chosen, self._rows(chosen, writer.counts), strict=True):
                writer.append(rows, text=text_checksum(self.windows, window))
            count(writer.counts, "seconds", time.perf_counter() - started)
            after_batch()

    def _rows(self, chosen: Sequence[int], counts: dict[str, float]) -> Iterator[Rows]:
        import torch

        batch = TokenBatch.of(self.windows.batch(list(chosen)), device=self.device)
        tokens = batch.supervised()
        with torch.no_grad():
            with autocast(self.device, self.precision):
                said = self.teacher.read(batch, tokens)
            parts = list(self._chunks(said, tokens, chosen, counts))
        if not all(_finite(part) for part in parts):
            raise UserError(
                f"What the teacher says of windows {chosen[0]} to {chosen[-1]} of {self.windows.folder} is not finite. "
                "Look at its weights, and try precision: fp32."
            )
        supervised_B = (batch.weights_BT != 0).sum(dim=1).tolist()
        yield from _by_window(_joined(parts), supervised_B)

    def _chunks(
        self, said: TeacherTokens, tokens: SupervisedTokens, chosen: Sequence[int], counts: dict[str, float]
    ) -> Iterator[Rows]:
        import numpy as np

        num_tokens = len(tokens.labels_N)
        capacity = tokens_per_chunk(self.windows.vocab_size, num_tokens=0)  # what is kept depends on no batch
        uniforms_NR = self._uniforms(chosen) if isinstance(self.keep, KeepSamples) else []
        for start in range(0, max(num_tokens, 1), capacity):
            part = slice(start, min(start + capacity, num_tokens))
            self.workspace.next_chunk(
                num_tokens=part.stop - start,
                vocab_size=self.windows.vocab_size,
                capacity=capacity,
                device=self.device,
            )
            found = said.chunk(part, self.workspace)
            assert not isinstance(found, Samples), "words drawn cannot be captured again"
            if isinstance(found, Prediction):
                count(counts, "nats", nats_of(found, tokens.labels_N[part]))
            rows = self._kept(found, said, part, [drawn_NR[part] for drawn_NR in uniforms_NR])
            if "log_probs" in rows:
                count(counts, "kept_mass", float(np.exp(rows["log_probs"].astype(np.float64)).sum()))
                count(counts, "told", int(np.isfinite(rows["log_probs"]).any(axis=1).sum()))
            yield rows

    def _kept(
        self, found: Prediction | TopK, said: TeacherTokens, part: slice, uniforms_NR: "Sequence[Tensor]"
    ) -> Rows:
        """The rows of a chunk."""
        import torch

        match self.keep:
            case KeepTopK():
                if isinstance(found, Prediction):
                    found = likeliest(found.at(1.0).log_NO, self.keep)
                kept = fitted(found, self.keep)
                return top_k_rows(kept, self.keep)
            case KeepHidden():
                return hidden_rows(said.hidden(-1)[part], self.keep)
            case KeepSamples():
                assert isinstance(found, Prediction), "a teacher that is asked over a wire gives its likeliest words"
                at = [found.at(temperature) for temperature in self.keep.temperatures]
                drawn = [draw(d.log_NO, u_NR) for d, u_NR in zip(at, uniforms_NR, strict=True)]
                entropies = [torch.special.entr(d.log_NO.exp()).sum(dim=-1) for d in at]
                bits = WordBits.of(vocab_size=self.windows.vocab_size, draws=self.keep.draws)
                return sample_rows(drawn, entropies, bits=bits)

    def _uniforms(self, chosen: Sequence[int]) -> "list[Tensor]":
        """For each temperature, those of the supervised tokens of these windows [N,R]."""
        import numpy as np
        import torch

        assert isinstance(self.keep, KeepSamples) and self.seeds is not None
        found = []
        for temperature in self.keep.temperatures:
            of_windows = [
                uniforms(
                    self.seeds,
                    window=window,
                    length=self.windows.length,
                    draws=self.keep.draws,
                    temperature=temperature,
                )[self.windows.weights_NT[window] != 0]
                for window in chosen
            ]
            found.append(torch.from_numpy(np.concatenate(of_windows)).to(self.device))
        return found


def count(counts: dict[str, float], name: str, amount: float) -> None:
    counts[name] = counts.get(name, 0.0) + amount


def nats_of(found: Prediction, labels_N: "Tensor") -> float:
    """How surprised the teacher is by the text, summed over its tokens."""
    return -found.at(1.0).log_NO.gather(1, labels_N[:, None]).double().sum().item()


def _finite(rows: Rows) -> bool:
    """Whether the numbers of rows are: log-probabilities may be -inf, where a word is impossible."""
    import numpy as np

    for name, array in rows.items():
        if name == "hidden" and array.dtype == np.uint16:
            # of a bf16, the eight bits of the exponent are all ones
            if ((array.astype(np.uint16) & 0x7F80) == 0x7F80).any():
                return False
        elif name in ("hidden", "entropy"):
            if not np.isfinite(array).all():
                return False
        elif name in ("log_probs", "log_tail") and (np.isnan(array) | (array == np.inf)).any():
            return False
    return True


def _joined(parts: Sequence[Rows]) -> Rows:
    import numpy as np

    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_window(rows: Rows, tokens_B: Sequence[int]) -> Iterator[Rows]:
    """The rows of each window out of those of several, given how many tokens each has."""
    first_token = first_word = 0
    for num_tokens in tokens_B:
        part = slice(first_token, first_token + num_tokens)
        found = {name: array[part] for name, array in rows.items() if name != WORDS}
        if WORDS in rows:
            num_words = int(rows["distinct"][part].sum())
            found[WORDS] = rows[WORDS][first_word : first_word + num_words]
            first_word += num_words
        yield found
        first_token += num_tokens
