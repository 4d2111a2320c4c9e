"""Recipes of two stages, a toy that writes questions and the real `generate`, run against real files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from demiurgic.core.artifacts import Dataset
from demiurgic.core.console import Console
from demiurgic.core.metric import Summary
from demiurgic.core.records import Row, RowWriter, read_row
from demiurgic.generate.generate import STAGE
from demiurgic.run.context import Context
from demiurgic.run.recipe import load_recipe
from demiurgic.run.runner import Outcome, run_recipe
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.run.store import Store
from tiny_rows import chat


class TalksConfig(StageConfig):
    count: int = 0
    more: list[dict[str, Any]] = Field(default=[])


def talks(config: TalksConfig, out: Path, context: Context) -> Summary:
    """Write numbered questions with answers, and whatever rows a recipe adds."""
    with RowWriter(out / "rows") as writer:
        for number in range(config.count):
            row = chat(f"Question {number}?", "old answer", id=f"talk:{number}", source="talks", license="CC0-1.0")
            writer.write(row)
        for number, line in enumerate(config.more):
            writer.write(read_row(line, id=f"more:{number}", source="talks"))
    return Summary()


STAGES: Mapping[str, Stage[Any]] = {"talks": Stage("talks", TalksConfig, talks, {"rows": Dataset}), "generate": STAGE}


def walk(folder: Path, steps: str, *, store: str = "store", quiet: bool = True, **context: Any) -> list[Outcome]:
    """Run a recipe of these steps over `folder / store`."""
    path = folder / "recipe.yaml"
    path.write_text(f"seed: 7\nsteps:\n{steps}", encoding="utf-8")
    loaded = load_recipe(path, STAGES)
    return run_recipe(loaded, Store(folder / store), context=Context(console=Console(quiet=quiet), **context))


def rows(outcome: Outcome, part: str = "rows") -> list[Row]:
    assert outcome.folder is not None
    return list(Dataset.open(outcome.folder / part).rows())


def numbers(outcome: Outcome) -> dict[str, float]:
    assert outcome.manifest is not None
    return {name: metric.value for name, metric in outcome.manifest.summary.metrics.items()}


def digests(outcome: Outcome) -> dict[str, str]:
    assert outcome.manifest is not None
    return {name: part.digest for name, part in outcome.manifest.parts.items()}
