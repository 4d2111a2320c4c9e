"""What a teacher says of the student's tokens, behind one call. A live teacher computes it, a cache reads it, a served
one is asked.

A signal is asked once per micro-batch and then answers chunk by chunk, so that no [tokens, vocabulary] is ever built.
It says the same kind of thing of every token: a whole distribution, its likeliest words with the rest in one bucket, or
words drawn from it.

Shapes: N supervised tokens, V vocabulary, D hidden width, K words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from demiurgic.train.batch import SupervisedTokens, TokenBatch
    from demiurgic.train.chunk import Prediction, Workspace

Signal = Literal["live", "hidden", "top_k", "samples", "served"]
"""Where the teacher's word comes from. `hidden`, `top_k` and `samples` are parts of `cache_logits` of that name;
`served` has the form of `top_k`."""


@dataclass(frozen=True)
class TopK:
    """The teacher's likeliest words, and all others as one."""

    ids_NK: "Tensor"
    """Distinct in each row. A row with fewer than K words is filled up with ids of log-probability -inf."""
    log_NK: "Tensor"
    """fp32: log p of each at temperature 1."""
    log_tail_N: "Mapping[float, Tensor]"
    """By temperature T: log of the sum of p^(1/T) over all other words of the vocabulary, fp32; -inf where there are
    none. At a temperature that is not here nothing can be said."""


@dataclass(frozen=True)
class Draws:
    """Words drawn from the teacher's distribution at one temperature, with replacement."""

    ids_NK: "Tensor"
    """Distinct in each row, but for those that fill it up, whose share is 0."""
    shares_NK: "Tensor"
    """fp32: how often each was drawn / number of draws. Sums to 1 in each row."""
    entropy_N: "Tensor"
    """fp32: of the teacher's whole distribution at that temperature, in nats."""


@dataclass(frozen=True)
class Samples:
    """Words drawn from the teacher (RS-KD, arXiv 2503.16870), by the temperature they were drawn at."""

    draws: Mapping[float, Draws]


Said: TypeAlias = "Prediction | TopK | Samples"
"""What a teacher says of a chunk of tokens. `Prediction` is a whole distribution."""


class TeacherTokens(Protocol):
    """The teacher's word on N tokens of one micro-batch."""

    def chunk(self, tokens: slice, workspace: "Workspace") -> Said:
        """What the teacher predicts for some of them. Buffers [n,V] come from the workspace."""

    def select(self, index_S: "Tensor") -> "TeacherTokens":
        """The same for S of them, in that order."""

    def hidden(self, layer: int) -> "Tensor":
        """Hidden states [N,D] after a layer; -1: the final ones, which the head reads.

        Raises UserError where the signal has none.
        """


class TeacherSignal(Protocol):
    """Where the teacher's predictions come from."""

    @property
    def signal(self) -> Signal: ...

    @property
    def hidden_width(self) -> int | None:
        """The width D of its hidden states; None where it has none."""

    def read(self, batch: "TokenBatch", tokens: "SupervisedTokens") -> TeacherTokens:
        """What the teacher predicts at the supervised tokens of a micro-batch.

        Raises UserError when it cannot: a cache of other windows, an endpoint that does not answer.
        """
