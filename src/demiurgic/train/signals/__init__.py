"""What a teacher says of the student's tokens, behind one call. A live teacher computes it; a cache would read it.

A signal is asked once per micro-batch and then answers chunk by chunk, so that no [tokens, vocabulary] is ever built.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from demiurgic.train.chunk import Prediction, Workspace


class TeacherTokens(Protocol):
    """The teacher's word on the supervised tokens of one micro-batch."""

    def chunk(self, tokens: slice, workspace: "Workspace") -> "Prediction":
        """What the teacher predicts for some of them."""


class TeacherSignal(Protocol):
    """Where the teacher's predictions come from."""

    def read(self, ids_BT: "Tensor", *, documents_BT: "Tensor", positions_N: "Tensor") -> TeacherTokens:
        """What the teacher predicts at some positions.

        `positions_N` index the flattened [B·T] positions *from* which the supervised tokens are predicted.
        """
