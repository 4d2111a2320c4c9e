"""The stage `evaluate`: every model through every suite on the same items, then the comparisons.

Knows neither what a suite measures nor how an interval is made.
"""

import gc
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, cast

from pydantic import Field, model_validator

from demiurgic.core.artifacts import Dataset, Model, Scores
from demiurgic.core.errors import UserError, unknown
from demiurgic.core.groups import group_of
from demiurgic.core.metric import JSON, Summary
from demiurgic.core.records import Row
from demiurgic.core.registry import Choice
from demiurgic.evaluate.compare import Table, summarise
from demiurgic.evaluate.origins import refuse_seen, training_of
from demiurgic.evaluate.scores import Scored, in_order, write_scores
from demiurgic.evaluate.suite import SUITES, Chosen, Contender, Suite
from demiurgic.models.load import load_model
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig
from demiurgic.stats.bootstrap import refuse_one_cluster
from demiurgic.stats.paired import Better

SuiteChoice = Annotated[Choice, SUITES]


def _beside(choice: Choice) -> list[str]:
    """The numbers that a suite gives beside its metric."""
    return list(cast("list[str]", choice.entry.facts.get("beside", [])))


class EvaluateConfig(StageConfig):
    """What is measured on what."""

    models: dict[str, Model] = Field(min_length=1)
    """By the names the metrics have."""
    data: Dataset
    """Rows that no model was trained or chosen on; checked against what each model was made from."""
    suites: list[SuiteChoice] = Field(default_factory=lambda: [SUITES.choose("bits_per_byte")], min_length=1)
    compare: list[tuple[str, str]] = Field(default=[])
    """Pairs of names: the first minus the second, on the same items."""
    teacher: str | None = None
    """The model whose lead over the second of each pair the first recovers a share of, in the first suite's metric."""
    cluster_by: str = "module"
    """What rows that resemble one another have in common: a field of their meta, or `source`, `domain` or `id`."""

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name in self.models:
            if "." in name or "_vs_" in name:
                raise ValueError(
                    f'the model name "{name}" must hold neither "." nor "_vs_": metrics are named with them'
                )
        for name in [*(name for pair in self.compare for name in pair), *([self.teacher] if self.teacher else [])]:
            if name not in self.models:
                raise ValueError(unknown("model among `models` named", name, self.models))
        for first, second in self.compare:
            if first == second:
                raise ValueError(f'compare holds "{first}" against itself')
        metrics = [metric for choice in self.suites for metric in (str(choice.entry.facts["metric"]), *_beside(choice))]
        for metric in metrics:
            if metrics.count(metric) > 1:
                raise ValueError(f"two suites give the metric {metric}; evaluate them in two steps")
        return self

    @property
    def training(self) -> dict[str, JSON]:
        return {name: training_of(model) for name, model in self.models.items()}

    def key_facts(self, base: Path) -> dict[str, JSON]:
        """Seconds and tokens stand in the summary, and equal weights may have cost other ones."""
        del base
        return {"training": self.training}


@dataclass(frozen=True)
class _Part:
    """One suite of this evaluation, with the items it chose."""

    choice: Choice
    suite: Suite
    chosen: Chosen
    clusters: Sequence[str]

    @property
    def metric(self) -> str:
        return str(self.choice.entry.facts["metric"])


def run(config: EvaluateConfig, out: Path, context: Context) -> Summary:
    """Measure models on held-out rows: each number with its interval, each comparison paired."""
    refuse_seen(config.models, config.data)
    rows = _rows(config.data)
    contenders = [Contender.open(name, model.path) for name, model in config.models.items()]
    parts = []
    for choice in config.suites:
        suite: Suite = choice()
        chosen = suite.choose(rows, contenders)
        clusters = [group_of(item.row, by=config.cluster_by, option="cluster_by") for item in chosen.items]
        refuse_one_cluster(clusters)
        parts.append(_Part(choice, suite, chosen, clusters))
    scored: list[Scored] = []
    seconds: dict[str, JSON] = {}
    total = len(contenders) * sum(len(part.chosen.items) for part in parts)
    with context.console.progress("evaluate", total) as progress:
        for contender in contenders:
            progress.show(contender.name)
            started = time.perf_counter()
            scored += _measure(contender, parts, device=context.device, advance=progress.advance)
            seconds[contender.name] = round(time.perf_counter() - started, 2)
    write_scores(out / "scores", scored)
    summary = summarise(
        [table for part in parts for table in _tables(part, scored)],
        compare=config.compare,
        teacher=config.teacher,
        cluster_by=config.cluster_by,
        seed=context.random.number("bootstrap"),
    )
    return Summary(summary.metrics, {**summary.facts, "training": config.training, "seconds": seconds})


def _rows(data: Dataset) -> list[Row]:
    rows = list(data.rows())
    if not rows:
        raise UserError(f"{data.path} holds no rows, so there is nothing to measure on. Hold out more rows.")
    repeated = [id for id, count in Counter(row.id for row in rows).items() if count > 1]
    if repeated:
        raise UserError(
            f"{data.path} holds several rows with the id {repeated[0]}; scores are told apart by id. Rename them."
        )
    return rows


def _measure(
    contender: Contender, parts: Sequence[_Part], *, device: str, advance: Callable[[int], None]
) -> list[Scored]:
    """One model through all suites; it is gone from memory when this returns."""
    model = load_model(contender.folder, device=device)
    scored = []
    for part in parts:
        items = part.chosen.items
        results = in_order(part.suite.measure(items, model, contender, advance=advance), items)
        found = Scored(contender.name, part.choice.name, part.metric, results, part.clusters)
        scored += [found, *(found.beside(metric) for metric in _beside(part.choice))]
    del model
    gc.collect()
    return scored


def _tables(part: _Part, scored: Sequence[Scored]) -> list[Table]:
    """The suite's metric, and what it gives beside it."""
    facts = part.choice.entry.facts
    better = {part.metric: cast(Better, facts["better"]), **dict.fromkeys(_beside(part.choice))}
    return [
        Table(
            metric=metric,
            suite=part.choice.name,
            better=direction,
            unit=str(facts["unit"]),
            models={one.model: one.measured for one in scored if one.metric == metric},
            left_out=part.chosen.left_out,
        )
        for metric, direction in better.items()
    ]


STAGE = Stage(
    "evaluate",
    EvaluateConfig,
    run,
    makes={"scores": Scores},
    uses_seed=True,
    needs=("torch", "transformers", "numpy", "pyarrow"),
)
