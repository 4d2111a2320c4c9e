"""Cross-entropy with the token that stands in the text."""

from demiurgic.train.chunk import Chunk, TokenLoss
from demiurgic.train.losses import LOSSES


@LOSSES.register("cross_entropy")
def cross_entropy(chunk: Chunk) -> TokenLoss:
    """How surprised the student is by the real next token: -log s[label]. Gradient: s - onehot(label)."""
    student = chunk.student.at(1.0)
    value_N = -student.log_NV.gather(1, chunk.labels_N[:, None])[:, 0]
    return TokenLoss(value_N, ((student.prob_NV, 1.0),), at_label=-1.0)
