"""The stage `mix`: rows of several kinds in the shares one asks for, in random order; what is left out says why."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from demiurgic.core.artifacts import Dataset
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.core.records import count_rows
from demiurgic.core.row_columns import with_columns, with_key
from demiurgic.curate.mix.amounts import Amount, amounts, shares_by_ratio, shares_by_temperature
from demiurgic.curate.mix.choose import sizes_of, times_taken
from demiurgic.curate.mix.survey import Survey, batches, survey
from demiurgic.curate.mix.write import Order, ShardWriter, num_heaps, write_mixed
from demiurgic.run.context import Context
from demiurgic.run.stage import Many, Stage, StageConfig

if TYPE_CHECKING:
    import numpy as np

ROWS, LEFT_OUT = "rows", "left_out"
ACCOUNTING = "accounting.json"
REPEATED_ID = "mix: an earlier row has its id"
NO_SHARE = "mix: no share was asked for"
BEYOND = "mix: beyond its share"
REASONS = (REPEATED_ID, NO_SHARE, BEYOND)


class MixConfig(StageConfig):
    data: Many[Dataset] = Field(min_length=1)
    by: str = "domain"
    """What tells rows apart: `domain`, `source`, `license`, `teacher`, or a key of their meta (`language`)."""
    shares: dict[str, float] | None = None
    """How much of each: `{code: 30, mathematics: 15}` is two to one. Rows of other kinds are left out."""
    temperature: float | None = Field(default=None, gt=0)
    """In place of `shares`: shares in proportion to n^(1/temperature). 1 keeps what is there, more levels it."""
    rows: int | None = Field(default=None, ge=1)
    """How many rows in all; without `rows` and `tokens` as many as the scarcest kind allows."""
    tokens: int | None = Field(default=None, ge=1)
    """In place of `rows`: how many tokens in all (estimated). Shares are then shares of tokens."""
    max_epochs: float = Field(default=1.0, ge=1)
    """How often a row may come, on average over its kind: 1 is once, 2.5 all twice and half of them once more."""

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.shares is None) == (self.temperature is None):
            raise ValueError("give shares or a temperature, one of the two")
        if self.rows is not None and self.tokens is not None:
            raise ValueError("give rows or tokens, not both")
        parts = [1.0] if self.shares is None else list(self.shares.values())
        if min(parts, default=-1.0) < 0 or not sum(parts) > 0:
            raise ValueError(f"shares are numbers of 0 or more, and one of them above 0; found {self.shares}")
        return self


def run(config: MixConfig, out: Path, context: Context) -> Summary:
    """Mix datasets by shares or temperature, at most so many times over, in random order."""
    found = survey(config.data, by=config.by, with_tokens=config.tokens is not None)
    sizes = sizes_of(found)
    shares = (
        shares_by_ratio(sizes, ratio=config.shares, by=config.by)
        if config.shares is not None
        else shares_by_temperature(sizes, temperature=config.temperature or 1.0)
    )
    given = amounts(sizes, shares, budget=config.rows or config.tokens, max_epochs=config.max_epochs)
    times_N = times_taken(found, given, seed=context.random.number("mix"))
    if not times_N.any():
        raise UserError(
            f"mix: a budget of {config.tokens} tokens takes no row: the first of each kind is longer than its share. "
            "Ask for more."
        )
    order = Order.drawn(times_N, random=context.random.array_stream("mix order"))
    bytes_out = _num_bytes(config) * order.num_copies // len(times_N)
    with context.console.progress("mixing", total=2 * len(times_N)) as progress:

        def told(batch: Any) -> Any:
            progress.advance(len(batch))
            return batch

        heaps = num_heaps(order.num_copies, num_bytes=bytes_out)
        write_mixed(map(told, batches(config.data)), order, out / ROWS, heaps=heaps, id_hash_N=found.id_hash_N)
        reason_N = _reasons(found, given, times_N)
        _write_left_out(map(told, batches(config.data)), found, given, reason_N, times_N, out / LEFT_OUT)
    summary = _summary(found, given, times_N, reason_N)
    _check(summary, out)
    _say_what_is_short(summary, config, context.console)
    write_text(out / ACCOUNTING, json.dumps(summary.to_json(), indent=1, ensure_ascii=False) + "\n")
    return summary


def _num_bytes(config: MixConfig) -> int:
    """Of all rows, before compression."""
    from pyarrow import parquet

    shards = [shard for dataset in config.data for shard in dataset.path.glob("rows-*.parquet")]
    footers = [parquet.read_metadata(shard) for shard in shards]
    return sum(footer.row_group(n).total_byte_size for footer in footers for n in range(footer.num_row_groups))


def _reasons(found: Survey, given: Mapping[str, Amount], times_N: Any) -> "np.ndarray[Any, np.dtype[np.int8]]":
    """Per row the place in REASONS of why it is left out; -1 where it is not."""
    import numpy as np

    asked_G = np.array([given[name].asked_share > 0 for name in found.groups])
    reason_N = np.where(asked_G[found.group_N], REASONS.index(BEYOND), REASONS.index(NO_SHARE)).astype(np.int8)
    reason_N[found.repeats_id_N] = REASONS.index(REPEATED_ID)
    reason_N[times_N > 0] = -1
    return reason_N


def _write_left_out(
    rows: Any, found: Survey, given: Mapping[str, Amount], reason_N: Any, times_N: Any, folder: Path
) -> None:
    """The rows that are not in the mix, in order, each with its reason in its meta as `curate` writes it."""
    import numpy as np
    import pyarrow as pa

    kept = np.bincount(found.group_N, weights=times_N > 0, minlength=len(found.groups)).astype(int).tolist()
    there = np.bincount(found.group_N, minlength=len(found.groups)).tolist()
    drops = [
        json.dumps(
            {"evidence": f"{name}: {kept[place]:,} of {there[place]:,} rows are in", "reason": reason},
            ensure_ascii=False,
        )
        for place, name in enumerate(found.groups)
        for reason in REASONS
    ]
    drop_N = found.group_N.astype(np.int64) * len(REASONS) + reason_N
    first = 0
    with ShardWriter(folder) as writer:
        for batch in rows:
            places = np.flatnonzero(reason_N[first : first + len(batch)] >= 0)
            if len(places):
                left = batch.take(pa.array(places))
                said = pa.array(drops, pa.string()).take(pa.array(drop_N[first + places]))
                writer.write(with_columns(left, meta=with_key(left.column("meta"), "dropped", said)))
            first += len(batch)


def _summary(found: Survey, given: Mapping[str, Amount], times_N: Any, reason_N: Any) -> Summary:
    import numpy as np

    num_out, num_used = int(times_N.sum()), int((times_N > 0).sum())
    weights = found.tokens_N if found.tokens_N is not None else np.ones(len(times_N), np.int64)
    got = np.bincount(found.group_N, weights=times_N * weights, minlength=len(found.groups))
    total = got.sum() or 1.0
    rows_out = np.bincount(found.group_N, weights=times_N, minlength=len(found.groups)).astype(int).tolist()
    shares: dict[str, JSON] = {
        name: {
            "there": given[name].there, "asked": given[name].asked_share, "got": float(got[place] / total),
            "wanted": given[name].wanted, "given": float(got[place]), "rows": rows_out[place],
            "epochs": float(got[place] / given[name].there) if given[name].there else 0.0,
        }
        for place, name in enumerate(found.groups)
    }  # fmt: skip
    missing = sum(abs(given[name].asked_share - got[place] / total) for place, name in enumerate(found.groups)) / 2
    numbers = {
        "rows_in": len(times_N), "kept": num_used, "dropped": len(times_N) - num_used, "rows_out": num_out,
        "repeats": num_out - num_used, "share_missed": float(missing),
    }  # fmt: skip
    if found.tokens_N is not None:
        numbers["tokens_out"] = float(got.sum())
    facts: dict[str, JSON] = {"shares": shares, "unit": "tokens" if found.tokens_N is not None else "rows"}
    facts["dropped"] = _by_source(found, reason_N)
    return Summary({name: Metric.exact(number) for name, number in numbers.items()}, facts)


def _by_source(found: Survey, reason_N: Any) -> dict[str, JSON]:
    import numpy as np

    left = reason_N >= 0
    pair_N = found.source_N[left].astype(np.int64) * len(REASONS) + reason_N[left]
    counts = np.bincount(pair_N, minlength=len(found.sources) * len(REASONS)).reshape(-1, len(REASONS)).tolist()
    by = {
        source: {reason: number for reason, number in zip(REASONS, row, strict=True) if number}
        for source, row in zip(found.sources, counts, strict=True)
    }
    return {source: dict[str, JSON](reasons) for source, reasons in sorted(by.items()) if reasons}


def _check(summary: Summary, out: Path) -> None:
    """Raises AssertionError unless the parts hold what was counted."""
    counted = {part: int(summary.metrics[name].value) for part, name in ((ROWS, "rows_out"), (LEFT_OUT, "dropped"))}
    written = {part: count_rows(out / part) for part in counted}
    if counted != written:
        raise AssertionError(f"rows were lost: {counted} were counted and {written} written")


def _say_what_is_short(summary: Summary, config: MixConfig, console: Console) -> None:
    shares: Any = summary.facts["shares"]
    unit = summary.facts["unit"]
    for name, group in shares.items():
        if group["given"] < 0.99 * group["wanted"] - 1:
            scarce = group["there"] * config.max_epochs < group["wanted"]
            why = (
                f"its {group['there']:,} {unit} may come {config.max_epochs:g} times."
                if scarce
                else "it has enough, and the next of its rows does not fit."
            )
            console.say(
                f"mix: {name} gives {group['given']:,.0f} {unit} of {group['wanted']:,.0f} wanted, a share of "
                f"{100 * group['got']:.1f} % instead of {100 * group['asked']:.1f} %: {why}"
            )


STAGE = Stage(
    "mix",
    MixConfig,
    run,
    makes={ROWS: Dataset, LEFT_OUT: Dataset},
    uses_seed=True,
    needs=("pyarrow", "numba"),
)
