"""Does a model know how sure it may be? Its confidence in each next token against how often it is right.

The expected calibration error of Guo et al. 2017 (arXiv 1706.04599, equation 3) over the tokens that training
supervises: sort the tokens by the probability of the most likely one into bins of equal width, and average over all
tokens how far each bin's mean confidence lies from its share of right ones.

Letters in array names: B pieces in a batch, T tokens, G bins.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from demiurgic.core.records import Row
from demiurgic.evaluate.likelihood import PieceBatch, rows_to_score, scored_rows, sums_of_rows
from demiurgic.evaluate.suite import Chosen, Contender, Item, Result, Suite
from demiurgic.models.precision import Precision

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from demiurgic.models.confidence import Confidence

BINS = 15
"""Guo et al. 2017, table 1; what papers on language models report since."""


@final
@dataclass(frozen=True)
class CalibrationSuite(Suite):
    """|mean confidence − share of right ones| of each bin, weighted by the bin's share of the tokens."""

    length: int
    """Of a window, in tokens."""
    precision: Precision
    max_rows: int | None

    def choose(self, rows: Iterable[Row], contenders: Sequence[Contender]) -> Chosen:
        return rows_to_score(rows, contenders, length=self.length, max_rows=self.max_rows)

    def measure(
        self, items: Sequence[Item], model: "PreTrainedModel", contender: Contender, *, advance: Callable[[int], None]
    ) -> Iterator[Result]:
        from demiurgic.models.confidence import token_confidence

        def ask(batch: PieceBatch) -> "Tensor":
            found = token_confidence(
                model,
                batch.ids_BT,
                documents_BT=batch.documents_BT,
                wanted_BT=batch.wanted_BT,
                vocab_size=len(contender.tokenizer),
            )
            return counted(found)

        sums = sums_of_rows(
            scored_rows([item.row for item in items], contender),
            ask,
            length=self.length,
            precision=self.precision,
            device=model.device,
            advance=advance,
        )
        for item, (num_tokens, confidence, right, *gaps) in zip(items, sums, strict=True):
            beside = {"confidence": confidence, "accuracy": right}
            yield Result(item, sum(abs(gap) for gap in gaps), num_tokens, gaps=gaps, beside=beside)


def counted(found: "Confidence") -> "Tensor":
    """For each piece, fp64 [B, 3 + G]: its tokens, the sum of their confidences, how many are right, and the sum of
    (right − confidence) in each bin.
    """
    import torch

    probability_BT = found.probability_BT.double()
    right_BT = found.is_right_BT.double()
    # Bin g holds (g / G, (g + 1) / G]; tokens that were not asked for have probability 0 and add 0 to the first.
    bins_BT = ((probability_BT * BINS).ceil().long() - 1).clamp(0, BINS - 1)
    gaps_BG = torch.zeros(len(bins_BT), BINS, dtype=torch.double, device=bins_BT.device)
    gaps_BG.scatter_add_(1, bins_BT, right_BT - probability_BT)
    totals = [found.asked_BT.double().sum(1), probability_BT.sum(1), right_BT.sum(1)]
    return torch.cat([torch.stack(totals, dim=1), gaps_BG], dim=1)
