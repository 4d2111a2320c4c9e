"""A chunk of supervised tokens as a loss sees it.

Knows neither models nor batches: logits come in. What the losses make of them lies in buffers that are used again.

Shapes: N tokens of the chunk, V vocabulary.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from demiurgic.core.errors import UserError
from demiurgic.train.distribution import Distribution
from demiurgic.train.pair import CoarsePair, Pair, WholePair, wrong_temperature
from demiurgic.train.signals import Draws, Said, Samples, TopK

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BUFFER_BYTES = 16 << 20
"""Of the logits of one chunk. The head's products are slower by a half with a quarter of it."""
MIN_TOKENS = 128
"""Below this the matrix products of a chunk are slower than the memory they save is worth."""
STRIP_BYTES = {"cpu": 3 << 19, "cuda": 64 << 20}
"""Of one array while the losses of a part of the chunk are worked out: on a CPU several of them fit into the cache."""


def tokens_per_chunk(vocab_size: int, *, num_tokens: int, buffer_bytes: int = BUFFER_BYTES) -> int:
    """An eighth of the tokens where that is more than `buffer_bytes` hold, up to four times as many."""
    fitting = buffer_bytes // (4 * vocab_size)
    return max(MIN_TOKENS, fitting, min(num_tokens // 8, 4 * fitting))


def tokens_per_strip(vocab_size: int, *, device: "torch.device") -> int:
    return max(1, STRIP_BYTES.get(device.type, STRIP_BYTES["cuda"]) // (4 * vocab_size))


class Workspace:
    """Float32 buffers [N,V] that are lent to one chunk and taken back by the next.

    Fresh memory is not free: the page faults of a 16 MB array cost as much as the arithmetic on it. Of the products of
    a head, those by oneDNN on a CPU come in memory of their own all the same (train/product.py).
    """

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._lent = 0
        self._num_tokens = 0

    @cached_property
    def strips(self) -> "Workspace":
        """The buffers in which the losses of a part of the chunk are worked out."""
        return Workspace()

    def next_chunk(self, *, num_tokens: int, vocab_size: int, capacity: int, device: "torch.device") -> None:
        """Take every buffer back and lend [num_tokens, vocab_size] from now on; `capacity` is the largest such N."""
        if self._buffers and (self._buffers[0].shape != (capacity, vocab_size) or self._buffers[0].device != device):
            self._buffers.clear()
        self._lent, self._num_tokens = 0, num_tokens
        self._shape, self._device = (capacity, vocab_size), device

    def lend(self) -> "Tensor":
        """A buffer [N,V] with undefined content."""
        import torch

        if self._lent == len(self._buffers):
            self._buffers.append(torch.empty(self._shape, dtype=torch.float32, device=self._device))
        self._lent += 1
        return self._buffers[self._lent - 1][: self._num_tokens]


class Prediction:
    """A model's logits for a chunk, from which come its distributions; each temperature is worked out once."""

    def __init__(self, logits_NV: "Tensor", workspace: Workspace) -> None:
        self._logits_NV = logits_NV
        self._workspace = workspace
        self._known: dict[float, Distribution] = {}

    def at(self, temperature: float) -> Distribution:
        """The distribution softmax(logits / temperature)."""
        import torch

        if temperature not in self._known:
            out_NV = self._workspace.lend()
            whole = temperature == 1.0
            scaled_NV = self._logits_NV if whole else torch.div(self._logits_NV, temperature, out=out_NV)
            log_NV = torch.log_softmax(scaled_NV, dim=-1, out=out_NV)
            self._known[temperature] = Distribution(log_NV, lend=self._workspace.lend)
        return self._known[temperature]

    def rows(self, part: slice, workspace: Workspace) -> "Prediction":
        """The same for some of the tokens."""
        return Prediction(self._logits_NV[part], workspace)


@dataclass(frozen=True)
class Chunk:
    """N supervised tokens: what the student predicts, which tokens are right, and what the teacher says of them."""

    student: Prediction
    labels_N: "Tensor"
    workspace: Workspace
    said: "Said | None" = None
    """None where no loss asks the teacher."""
    _pairs: dict[float, Pair] = field(default_factory=dict)

    def pair(self, temperature: float) -> Pair:
        """Student and teacher over the same outcomes. Only for losses registered with `reads="distribution"`.

        Raises UserError for a temperature at which a cache has nothing, and for words that were drawn: they are no
        distribution.
        """
        if temperature not in self._pairs:
            self._pairs[temperature] = self._pair(temperature)
        return self._pairs[temperature]

    def draws(self, temperature: float) -> Draws:
        """The words drawn from the teacher at a temperature. Only where `said` is `Samples`.

        Raises UserError for a temperature at which none were drawn.
        """
        if not isinstance(self.said, Samples):
            raise AssertionError(f"the teacher said {type(self.said).__name__}, not words that were drawn")
        if temperature not in self.said.draws:
            raise UserError(wrong_temperature("drawn words", temperature, list(self.said.draws)))
        return self.said.draws[temperature]

    def scratch(self) -> "Tensor":
        """A buffer [N,V] with undefined content, the loss's own until the end of the chunk."""
        return self.workspace.lend()

    def _pair(self, temperature: float) -> Pair:
        student, lend = self.student.at(temperature), self.workspace.lend
        match self.said:
            case Prediction():
                return WholePair(student, self.said.at(temperature), temperature=temperature, lend=lend)
            case TopK():
                return CoarsePair(student, self.said, temperature=temperature, lend=lend)
            case Samples():
                raise UserError(
                    "A loss asks for the teacher's distribution, and of this teacher there are only words that were "
                    "drawn. Use forward_kl, or a cache of the likeliest words (top_k) or of hidden states."
                )
            case None:
                raise AssertionError('a loss that is not registered with reads="distribution" asked the teacher')


def rows_of(said: "Said | None", part: slice, workspace: Workspace) -> "Said | None":
    """What a teacher says of some tokens of a chunk."""
    match said:
        case Prediction():
            return said.rows(part, workspace)
        case TopK():
            tails = {temperature: log_N[part] for temperature, log_N in said.log_tail_N.items()}
            return TopK(said.ids_NK[part], said.log_NK[part], tails)
        case Samples():
            return replace(said, draws={temperature: _rows(drawn, part) for temperature, drawn in said.draws.items()})
        case None:
            return None


def _rows(drawn: Draws, part: slice) -> Draws:
    return Draws(drawn.ids_NK[part], drawn.shares_NK[part], drawn.entropy_N[part])
