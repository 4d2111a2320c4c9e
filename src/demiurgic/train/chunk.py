"""A chunk of supervised tokens as a loss sees it, and what a loss answers.

Knows neither models nor batches: logits come in, a value per token and its gradient with respect to the student's
logits go out. Every [N,V] array lies in a buffer that the next chunk uses again.

Shapes: N tokens of the chunk, V vocabulary.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BUFFER_BYTES = 8 << 20
"""Of one [N,V] buffer. On two CPU cores the time per token hardly falls beyond it (docs/train.md)."""
MIN_TOKENS = 64
"""Below this the matrix products of a chunk are slower than the memory they save is worth."""


def tokens_per_chunk(vocab_size: int, *, buffer_bytes: int = BUFFER_BYTES) -> int:
    return max(MIN_TOKENS, buffer_bytes // (4 * vocab_size))


class Workspace:
    """Float32 buffers [N,V] that are lent to one chunk and taken back by the next.

    Fresh memory is not free: the page faults of a 16 MB array cost as much as the arithmetic on it.
    """

    def __init__(self) -> None:
        self._buffers: list[Tensor] = []
        self._lent = 0
        self._num_tokens = 0

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


class Distribution:
    """What a model says of the next token of each position, at one temperature."""

    def __init__(self, log_NV: "Tensor", workspace: Workspace) -> None:
        self.log_NV = log_NV
        """Log-probabilities, in nats."""
        self._workspace = workspace

    @cached_property
    def prob_NV(self) -> "Tensor":
        import torch

        return torch.exp(self.log_NV, out=self._workspace.lend())


class Prediction:
    """A model's logits for a chunk, from which come its distributions; each temperature is worked out once."""

    def __init__(self, logits_NV: "Tensor", workspace: Workspace) -> None:
        """Takes the logits over: their memory becomes the log-probabilities at temperature 1."""
        import torch

        self._workspace = workspace
        self._known = {1.0: Distribution(torch.log_softmax(logits_NV, dim=-1, out=logits_NV), workspace)}

    def at(self, temperature: float) -> Distribution:
        """The distribution softmax(logits / temperature)."""
        import torch

        if temperature not in self._known:
            # log-probabilities differ from the logits by a constant per row, which a softmax does not see
            scaled_NV = torch.div(self._known[1.0].log_NV, temperature, out=self._workspace.lend())
            log_NV = torch.log_softmax(scaled_NV, dim=-1, out=scaled_NV)
            self._known[temperature] = Distribution(log_NV, self._workspace)
        return self._known[temperature]


@dataclass(frozen=True)
class Chunk:
    """N supervised tokens: what the student predicts, which tokens are right, and what the teacher predicts."""

    student: Prediction
    labels_N: "Tensor"
    workspace: Workspace
    signal: Prediction | None = None

    @property
    def teacher(self) -> Prediction:
        """Only for losses registered with `needs_teacher=True`."""
        if self.signal is None:
            raise AssertionError("a loss without needs_teacher=True asked for the teacher")
        return self.signal

    def scratch(self) -> "Tensor":
        """A buffer [N,V] with undefined content, the loss's own until the end of the chunk."""
        return self.workspace.lend()


@dataclass(frozen=True)
class TokenLoss:
    """The value of a loss on each token, and its gradient with respect to the student's logits, in closed form.

    The gradient is a linear combination, `sum(factor * tensor_NV)`, plus `at_label` on each row's label. Losses share
    most tensors (the student's probabilities are part of nearly every gradient), so the combination of all losses is
    worked out once.
    """

    value_N: "Tensor"
    gradient: tuple[tuple["Tensor", float], ...]
    at_label: float = 0.0

    def at_temperature(self, temperature: float) -> "TokenLoss":
        """Multiply value and gradient by T².

        For a loss of softmax(logits / T): given with its gradient with respect to logits / T, returned with that with
        respect to the logits. The factor T² keeps the gradient's size the same at every temperature (Hinton et al.
        2015, arXiv 1503.02531, section 2.1).
        """
        if temperature == 1.0:
            return self
        gradient = tuple((tensor, factor * temperature) for tensor, factor in self.gradient)
        value_N = self.value_N * temperature**2
        return replace(self, value_N=value_N, gradient=gradient, at_label=self.at_label * temperature)


def weighted_gradient(losses: Iterable[tuple[TokenLoss, float]], chunk: Chunk) -> "Tensor":
    """`sum(weight * gradient)` of several losses [N,V]. Overwrites a tensor of theirs: the chunk is done after this.

    Raises AssertionError when two of their tensors lie in the same memory.
    """
    factors: dict[int, float] = {}
    tensors: dict[int, Tensor] = {}
    at_label = 0.0
    for loss, weight in losses:
        at_label += weight * loss.at_label
        for tensor_NV, factor in loss.gradient:
            tensors[id(tensor_NV)] = tensor_NV
            factors[id(tensor_NV)] = factors.get(id(tensor_NV), 0.0) + weight * factor
    if len({tensor_NV.untyped_storage().data_ptr() for tensor_NV in tensors.values()}) < len(tensors):
        raise AssertionError(
            "two tensors in the gradients of the losses share memory, which adding them up overwrites; a loss gives "
            "the very tensor (prob_NV, not a view of it) or one of its own (chunk.scratch())"
        )
    if not tensors:
        return _at_labels(chunk.scratch().zero_(), at_label, chunk.labels_N)
    first, *others = factors
    gradient_NV = tensors[first]
    if factors[first] != 1.0:
        gradient_NV.mul_(factors[first])
    for other in others:
        gradient_NV.add_(tensors[other], alpha=factors[other])
    return _at_labels(gradient_NV, at_label, chunk.labels_N)


def _at_labels(gradient_NV: "Tensor", at_label: float, labels_N: "Tensor") -> "Tensor":
    if at_label:
        gradient_NV.scatter_add_(1, labels_N[:, None], gradient_NV.new_full((len(labels_N), 1), at_label))
    return gradient_NV
