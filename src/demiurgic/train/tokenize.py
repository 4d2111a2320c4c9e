"""The stage `tokenize`: rows to windows of token ids, once, for everything that trains or scores on them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import Field

from demiurgic.core.artifacts import Dataset, Either, Model, Tokenizer, Tokens
from demiurgic.core.console import Progress
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric, Summary
from demiurgic.core.records import Row
from demiurgic.core.seeds import share_of
from demiurgic.dialects import Dialect, LossOn
from demiurgic.models.tokenizer import Encoded, dialect_of, encode_rows, load_tokenizer, tokenizer_digest
from demiurgic.models.windows import EncodedRows, Packing, pack, write_windows
from demiurgic.run.context import Context
from demiurgic.run.engine import batches
from demiurgic.run.stage import Stage, StageConfig

ROWS_AT_ONCE = 1000
"""Rows encoded by one call: enough to keep the tokenizer's threads busy."""


class TokenizeConfig(StageConfig):
    data: Dataset
    tokenizer: Either[Tokenizer | Model]
    """A tokenizer, or the model whose own is meant."""
    length: int = Field(ge=2)
    """Tokens of a window."""
    loss_on: LossOn = "answers"
    """`answers`: what the assistant says and its end of turn; `everything`: prompts too."""
    packing: Packing = "stream"
    """`stream`: rows are cut where a window ends, no padding; `fit`: rows stay whole, windows are padded."""
    share: float = Field(1.0, gt=0, le=1)
    """Keep this share of the rows, chosen by row id: a smaller share is a part of a larger one."""
    unwritable: Literal["stop", "drop"] = "stop"
    """What becomes of rows that the template has no form for; what is dropped is counted by reason."""


def run(config: TokenizeConfig, out: Path, context: Context) -> Summary:
    """Turn rows into windows of token ids with loss weights and document borders, in a random order."""
    tokenizer = load_tokenizer(config.tokenizer.path)
    dialect = dialect_of(tokenizer)
    row_ids: list[str] = []
    dropped: Counter[str] = Counter()

    def encoded(progress: Progress) -> Iterator[Encoded]:
        for rows in batches(_sampled(config.data, share=config.share, progress=progress), ROWS_AT_ONCE):
            if config.unwritable == "drop":
                rows = _writable(rows, dialect, dropped)
            row_ids.extend(row.id for row in rows)
            yield from encode_rows(rows, tokenizer, dialect=dialect, loss_on=config.loss_on)

    with context.console.progress("tokenizing rows", config.data.num_rows) as progress:
        joined = EncodedRows.join(encoded(progress))
    if not row_ids:
        raise UserError(_nothing_to_tokenize(config, dropped))

    # Rows come module by module; windows that mix them make batches that look like the whole.
    order = context.random.array_stream("rows").permutation(len(row_ids))
    packed = pack(joined.reordered(order), length=config.length, packing=config.packing)
    counts = packed.counts
    if not counts.supervised:
        raise UserError(
            f"None of the {counts.tokens} tokens carries a loss weight, so nothing could be learned from them. Rows "
            "need an assistant message (or a plain text); set loss_on: everything to learn prompts too."
        )
    write_windows(
        out / "tokens",
        packed,
        row_ids=[row_ids[position] for position in order],
        vocab_size=len(tokenizer),
        tokenizer_digest=tokenizer_digest(config.tokenizer.path),
        dialect=dialect.name,
    )
    return Summary(
        {name: Metric.exact(count) for name, count in asdict(counts).items()}
        | {"padding_share": Metric.exact(counts.padding / (counts.windows * config.length))}
        | {"rows_dropped": Metric.exact(dropped.total())},
        {
            "length": config.length,
            "vocab_size": len(tokenizer),
            "dialect": dialect.name,
            "dropped": dict(sorted(dropped.items())),
        },
    )


def _writable(rows: Sequence[Row], dialect: Dialect, dropped: Counter[str]) -> list[Row]:
    """The rows that the dialect can write; why the others cannot be is counted."""
    kept = []
    for row in rows:
        if reason := dialect.cannot_write(row):
            dropped[reason] += 1
        else:
            kept.append(row)
    return kept


def _nothing_to_tokenize(config: TokenizeConfig, dropped: Counter[str]) -> str:
    num_rows = config.data.num_rows
    if dropped:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in dropped.most_common(3))
        return f"There is nothing to tokenize: the template can write none of {num_rows} rows ({reasons})."
    found = f"{num_rows} rows, none of them in share {config.share:g}" if num_rows else "no rows"
    return f"There is nothing to tokenize: the data holds {found}. Give more rows or a larger share."


def _sampled(data: Dataset, *, share: float, progress: Progress) -> Iterator[Row]:
    for row in data.rows():
        progress.advance()
        if share_of(row.id) < share:
            yield row


STAGE = Stage(
    "tokenize",
    TokenizeConfig,
    run,
    makes={"tokens": Tokens},
    uses_seed=True,
    needs=("numpy", "pyarrow", "transformers"),
)
