"""How well a model predicts the answers that stand in the rows: bits spent per byte of text.

A row longer than a window is read through one that slides by half its length: every token is scored exactly once, those
past the first window with at least half a window before them. Bytes are the unit because tokens differ between
tokenizers: models with different tokenizers compare fairly.

Letters in array names: B pieces in a batch, T tokens, K numbers per piece.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from demiurgic.core.errors import UserError
from demiurgic.core.records import Row
from demiurgic.dialects import Dialect
from demiurgic.evaluate.suite import Chosen, Contender, Item, Result, Suite, choose_items, unwritable
from demiurgic.models.precision import Precision, autocast
from demiurgic.models.tokenizer import encode_rows

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

TOKENS_PER_BATCH = 2048
"""Eight windows of 256: larger batches leave the caches of a small CPU and are slower there."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A row as tokens: which of them are scored, and how many bytes of text they stand for."""

    ids: Sequence[int]
    is_scored: Sequence[bool]
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens `start` to `end` of a row, read at once; those before `first` were scored by an earlier piece."""

    row: int
    start: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class PieceBatch:
    """Pieces side by side, on the model's device; `wanted_BT` are the tokens that they score."""

    ids_BT: "Tensor"
    documents_BT: "Tensor"
    wanted_BT: "Tensor"


@final
@dataclass(frozen=True)
class LikelihoodSuite(Suite):
    """Bits of the answers' tokens, end of turn included, over the UTF-8 bytes of the answers' text."""

    length: int
    """Of a window, in tokens."""
    precision: Precision
    max_rows: int | None

    def choose(self, rows: Iterable[Row], contenders: Sequence[Contender]) -> Chosen:
        return rows_to_score(rows, contenders, length=self.length, max_rows=self.max_rows)

    def measure(
        self, items: Sequence[Item], model: "PreTrainedModel", contender: Contender, *, advance: Callable[[int], None]
    ) -> Iterator[Result]:
        from demiurgic.models.likelihood import token_nats

        def nats(batch: PieceBatch) -> "Tensor":
            nats_BT = token_nats(
                model,
                batch.ids_BT,
                documents_BT=batch.documents_BT,
                wanted_BT=batch.wanted_BT,
                vocab_size=len(contender.tokenizer),
            )
            return nats_BT.double().sum(dim=1, keepdim=True)

        scored = scored_rows([item.row for item in items], contender)
        sums = sums_of_rows(
            scored, nats, length=self.length, precision=self.precision, device=model.device, advance=advance
        )
        for item, tokens, (value,) in zip(items, scored, sums, strict=True):
            yield Result(item, value / math.log(2), tokens.num_bytes)


def rows_to_score(rows: Iterable[Row], contenders: Sequence[Contender], *, length: int, max_rows: int | None) -> Chosen:
    """Rows that hold something to predict, the same for all models. Raises UserError for windows longer than a model's
    context, and when there is no such row.
    """
    for contender in contenders:
        if contender.context < length:
            raise UserError(
                f"The model {contender.name} attends to {contender.context} tokens and the windows have "
                f"{length}. Set length: {contender.context} or less."
            )
    alike = {contender.tokenizer_digest: contender for contender in contenders}.values()
    wanted = "rows with an answer of the assistant, or a text of several tokens"
    return choose_items(rows, lambda row: _misfit(row, alike) or Item(row.id, row), max_rows=max_rows, wanted=wanted)


def sums_of_rows(
    scored: Sequence[Scored],
    ask: "Callable[[PieceBatch], Tensor]",
    *,
    length: int,
    precision: Precision,
    device: "torch.device",
    advance: Callable[[int], None],
) -> list[list[float]]:
    """For each row the sums over its scored tokens of what `ask` gives for a piece: fp64 [B,K], for each row K numbers.

    Rows longer than `length` are read through windows that slide; `advance` is told how many rows more are done.
    """
    import torch

    pieces = [piece for row, tokens in enumerate(scored) for piece in cut(tokens, row=row, length=length)]
    pieces.sort(key=lambda piece: piece.end - piece.start, reverse=True)
    left = Counter(piece.row for piece in pieces)
    sums: list[list[float]] = [[] for _ in scored]
    for batch in batched(pieces, tokens=TOKENS_PER_BATCH):
        with torch.no_grad(), autocast(device, precision):
            found = ask(_side_by_side(batch, scored, device=device)).tolist()
        for piece, values in zip(batch, found, strict=True):
            earlier = sums[piece.row] or [0.0] * len(values)
            sums[piece.row] = [total + value for total, value in zip(earlier, values, strict=True)]
            left[piece.row] -= 1
            advance(int(left[piece.row] == 0))
    return sums


def _side_by_side(batch: Sequence[Piece], scored: Sequence[Scored], *, device: "torch.device") -> PieceBatch:
    import torch

    shape = (len(batch), max(piece.end - piece.start for piece in batch))
    ids_BT = torch.zeros(shape, dtype=torch.long)
    documents_BT = torch.zeros(shape, dtype=torch.long)
    wanted_BT = torch.zeros(shape, dtype=torch.bool)
    for b, piece in enumerate(batch):
        row, size = scored[piece.row], piece.end - piece.start
        ids_BT[b, :size] = torch.tensor(row.ids[piece.start : piece.end])
        documents_BT[b, :size] = 1
        wanted_BT[b, piece.first - piece.start : size] = torch.tensor(row.is_scored[piece.first : piece.end])
    return PieceBatch(ids_BT.to(device), documents_BT.to(device), wanted_BT.to(device))


def scored_rows(rows: Sequence[Row], contender: Contender) -> list[Scored]:
    """Rows as training sees them, whole. A text that is a single token has 0 bytes: nothing predicts a first token."""
    found = []
    for row, encoded in zip(rows, encode_rows(rows, contender.tokenizer, dialect=contender.dialect), strict=True):
        num_bytes = sum(len(text.encode()) for text in _answers(row, contender.dialect))
        unscored = 1
        if row.text is not None:
            unscored, prefix = _first_whole(encoded.ids, contender.tokenizer, text=row.text)
            num_bytes -= len(prefix.encode())
        is_scored = [position >= unscored and weight > 0 for position, weight in enumerate(encoded.weights)]
        found.append(Scored(encoded.ids, is_scored, num_bytes))
    return found


def _misfit(row: Row, contenders: Collection[Contender]) -> str | None:
    """Why a row is left out, or None. Only a plain text may be too short: before an answer stands its prompt."""
    if lacking := unwritable(row, contenders):
        return lacking
    if not all(_answers(row, contender.dialect) for contender in contenders):
        return "no answer"
    if row.text is not None and any(scored_rows([row], contender)[0].num_bytes == 0 for contender in contenders):
        return "a single token"
    return None


def _answers(row: Row, dialect: Dialect) -> list[str]:
    """The texts of a row that a model is trained to write, without what the dialect writes around them."""
    return [span.text for span in dialect.render(row) if span.weight > 0 and span.text and not span.control]


def _first_whole(ids: Sequence[int], tokenizer: "PreTrainedTokenizerFast", *, text: str) -> tuple[int, str]:
    """The fewest first tokens of a plain text that are whole characters, and those characters.

    Nothing comes before them, so nothing predicts them: neither their bits nor their bytes count.
    """
    for count in range(1, len(ids) + 1):
        prefix = str(tokenizer.decode(ids[:count], clean_up_tokenization_spaces=False))
        if text.startswith(prefix):
            return count, prefix
    return len(ids), text


def cut(tokens: Scored, *, row: int, length: int) -> list[Piece]:
    """Windows that together score every token once; those in which nothing is scored are left out."""
    num_tokens, end = len(tokens.ids), min(length, len(tokens.ids))
    pieces = [Piece(row, 0, 0, end)]
    while end < num_tokens:
        first, end = end, min(end + length // 2, num_tokens)
        pieces.append(Piece(row, end - length, first, end))
    return [piece for piece in pieces if any(tokens.is_scored[piece.first : piece.end])]


def batched(pieces: Sequence[Piece], *, tokens: int) -> Iterator[Sequence[Piece]]:
    """Runs of pieces (longest first) that hold at most `tokens` tokens, padding included."""
    start = 0
    while start < len(pieces):
        size = max(1, tokens // (pieces[start].end - pieces[start].start))
        yield pieces[start : start + size]
        start += size
