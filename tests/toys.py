"""Small real stages for the tests of the runner: they read and write real artifacts, and need no model."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from demiurgic.core.artifacts import Dataset, Scores
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import Metric, Summary
from demiurgic.core.records import Row, RowWriter
from demiurgic.core.registry import Choice, Registry
from demiurgic.run.context import Context
from demiurgic.run.recipe import Recipe, load_recipe
from demiurgic.run.runner import Outcome, run_recipe
from demiurgic.run.stage import Many, Stage, StageConfig
from demiurgic.run.store import Store

WORDS = Registry("words", package="toy_words")


class NumbersConfig(StageConfig):
    count: int
    start: int = 0
    note: str = ""
    word: Annotated[Choice, WORDS] | None = None


def numbers(config: NumbersConfig, out: Path, context: Context) -> Summary:
    """Write numbers as rows."""
    if config.count == 0:
        raise UserError("count is 0; give at least 1")
    with RowWriter(out / "rows") as writer:
        for number in range(config.start, config.start + config.count):
            writer.write(Row(id=f"n:{number}", text=str(number)))
    return Summary({"rows": Metric.exact(config.count)})


class ShuffleConfig(StageConfig):
    data: Dataset


def shuffle(config: ShuffleConfig, out: Path, context: Context) -> Summary:
    """Put rows in a random order."""
    rows = list(config.data.rows())
    context.random.stream("order").shuffle(rows)
    with RowWriter(out / "rows") as writer:
        for row in rows:
            writer.write(row)
    return Summary({"first": Metric.exact(float(rows[0].text or 0))})


class HalveConfig(StageConfig):
    data: Dataset
    limit: int


def halve(config: HalveConfig, out: Path, context: Context) -> Summary:
    """Split rows at a limit."""
    with RowWriter(out / "low") as low, RowWriter(out / "high") as high:
        for row in config.data.rows():
            (low if int(row.text or 0) < config.limit else high).write(row)
    return Summary({"low": Metric.exact(low.num_rows), "high": Metric.exact(high.num_rows)})


class TotalConfig(StageConfig):
    data: Many[Dataset]
    weights: dict[str, float] = Field(default={})
    threshold: float = 1e-3


def total(config: TotalConfig, out: Path, context: Context) -> Summary:
    """Add up all rows of all data."""
    value = sum(int(row.text or 0) for data in config.data for row in data.rows())
    (out / "scores").mkdir()
    write_text(out / "scores" / "total.json", json.dumps(value))
    return Summary({"total": Metric(value, value - 5, value + 5, 10)})


class CountConfig(StageConfig):
    to: int
    seconds: float = 0.0


def count(config: CountConfig, out: Path, context: Context) -> Summary:
    """Count slowly, remembering how far it came."""
    state = out / "state.txt"
    done = int(state.read_text()) if state.exists() else 0
    with (out / "log.txt").open("a") as log:
        for number in range(done + 1, config.to + 1):
            time.sleep(config.seconds)
            log.write(f"{number}\n")
            log.flush()
            write_text(state, str(number))
    with RowWriter(out / "rows") as writer:
        writer.write(Row(id="count", text=str(config.to)))
    return Summary({"counted_now": Metric.exact(config.to - done)})


def _stage(name: str, config: Any, run: Any, makes: Any, **more: Any) -> Stage[Any]:
    return Stage(name, config, run, makes, **more)


STAGES: Mapping[str, Stage[Any]] = {
    "numbers": _stage("numbers", NumbersConfig, numbers, {"rows": Dataset}),
    "shuffle": _stage("shuffle", ShuffleConfig, shuffle, {"rows": Dataset}, uses_seed=True),
    "halve": _stage("halve", HalveConfig, halve, {"low": Dataset, "high": Dataset}),
    "total": _stage("total", TotalConfig, total, {"scores": Scores}, publishes=True),
    "count": _stage("count", CountConfig, count, {"rows": Dataset}, resumable=True),
}

SUM = """\
name: sum
seed: 7
steps:
  some:  {use: numbers, count: 10}
  mixed: {use: shuffle, data: some}
  parts: {use: halve, data: mixed, limit: 4}
  sum:   {use: total, data: [parts.high]}
"""


def recipe(folder: Path, text: str = SUM, overrides: tuple[str, ...] = (), preset: str | None = None) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path, STAGES, overrides=overrides, preset=preset)


def walk(folder: Path, text: str = SUM, *, store: Path | None = None, **more: Any) -> list[Outcome]:
    """Load a recipe and run it over `folder/store`."""
    loaded = recipe(folder, text, **more)
    context = Context(console=Console(quiet=True), base=folder)
    return run_recipe(loaded, Store(store or folder / "store"), context=context)


def statuses(outcomes: list[Outcome]) -> dict[str, str]:
    return {outcome.step: outcome.status for outcome in outcomes}
