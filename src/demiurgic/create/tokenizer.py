"""The stage `tokenizer`: a byte-level BPE learned from the rows of a dataset."""

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from demiurgic.core.artifacts import Dataset, Tokenizer
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric, Summary
from demiurgic.core.records import Row
from demiurgic.core.seeds import share_of
from demiurgic.create.bpe import save_tokenizer, train_bpe
from demiurgic.dialects import DIALECTS
from demiurgic.models.tokenizer import load_tokenizer, tokenizer_digest
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.stats.bootstrap import Measured, ratio

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SAMPLE = 2000
"""Rows on which bytes per token are measured and the round trip is checked."""
HARD_TEXTS = (
    "",
    " ",
    "\t\n\r\n  x",
    "naïve café",
    "你好，世界。",
    "👩‍👩‍👧‍👦 🇩🇪 🙂",
    "e\u0301",
    "1234567890",
    "\x00\x7f\u200b",
)
"""Texts that tokenizers are known to lose something of."""


class TokenizerConfig(StageConfig):
    text: Dataset
    size: int = 4096
    """Tokens in the vocabulary, special tokens and bytes among them."""
    dialect: Literal["chatml"] = "chatml"


def run(config: TokenizerConfig, out: Path, context: Context) -> Summary:
    """Learn a byte-level BPE from the rows, with the special tokens and the template of a dialect."""
    dialect = DIALECTS[config.dialect]
    with context.console.progress("reading rows", config.text.num_rows) as progress:
        texts = _texts(config.text.rows(), advance=progress.advance)
        words = train_bpe(texts, size=config.size, special_tokens=dialect.special_tokens)
    save_tokenizer(words, out / "tokenizer", dialect=dialect)

    tokenizer = load_tokenizer(out / "tokenizer")
    sample = _sample(config.text.rows())
    check_round_trip([*HARD_TEXTS, *sample.values()], tokenizer)
    return Summary(
        {
            "size": Metric.exact(config.size),
            "bytes_per_token": bytes_per_token(sample, tokenizer, seed=0),
        },
        {"dialect": dialect.name, "digest": tokenizer_digest(out / "tokenizer")},
    )


def bytes_per_token(texts: dict[str, str], tokenizer: "PreTrainedTokenizerFast", *, seed: int) -> Metric:
    """UTF-8 bytes of the texts (by row id) over the tokens they become, with an interval over rows.

    One row says nothing of others: its value stands without an interval.
    """
    ids = _encode(list(texts.values()), tokenizer)
    rows = [(row, text, len(tokens)) for (row, text), tokens in zip(texts.items(), ids, strict=True) if tokens]
    names = [row for row, _, _ in rows]
    sizes = [float(len(text.encode())) for _, text, _ in rows]
    measured = Measured(names, names, sizes, [float(count) for _, _, count in rows])
    return ratio(measured, seed=seed) if len(rows) > 1 else Metric.exact(measured.value)


def check_round_trip(texts: list[str], tokenizer: "PreTrainedTokenizerFast") -> None:
    """Raises AssertionError when a text does not come back from its token ids as it was."""
    for text, ids in zip(texts, _encode(texts, tokenizer), strict=True):
        back = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        if back != text:
            raise AssertionError(f"the tokenizer turns {text[:80]!r} into {back[:80]!r}")


def _encode(texts: list[str], tokenizer: Any) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)[
        "input_ids"
    ]
    return ids


def _texts(rows: Iterable[Row], *, advance: Any) -> Iterator[str]:
    """What each row says, without what the dialect writes around it."""
    empty = True
    for row in rows:
        advance()
        for text in (row.text, *(message.content for message in row.messages)):
            if text:
                empty = False
                yield text
    if empty:
        raise UserError("The dataset holds no text to learn a tokenizer from. Point `text` to a part with rows.")


def _sample(rows: Iterable[Row]) -> dict[str, str]:
    """The whole text of up to SAMPLE rows, chosen by their ids alone."""
    chosen = heapq.nsmallest(SAMPLE, rows, key=lambda row: (share_of(row.id), row.id))
    return {row.id: row.text or "\n".join(message.content for message in row.messages) for row in chosen}


STAGE = Stage("tokenizer", TokenizerConfig, run, makes={"tokenizer": Tokenizer}, needs=("tokenizers", "transformers"))
