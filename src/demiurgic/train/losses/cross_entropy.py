"""Cross-entropy with the token that stands in the text."""

from demiurgic.train.chunk import Chunk
from demiurgic.train.losses import LOSSES, Temperature
from demiurgic.train.token_loss import Sparse, TokenLoss


@LOSSES.register("cross_entropy")
def cross_entropy(chunk: Chunk, *, temperature: Temperature = 1.0) -> TokenLoss:
    """How surprised the student is by the real next token: -log s[label], times T². Gradient: (s - onehot(label)) T."""
    student, labels_N1 = chunk.student.at(temperature), chunk.labels_N[:, None]
    log_N1 = student.log_NO.gather(1, labels_N1)
    label = Sparse(labels_N1, log_N1.new_full(log_N1.shape, -1.0))
    return TokenLoss(-log_N1[:, 0], ((student.prob_NO, 1.0),), (label,)).at_temperature(temperature)
