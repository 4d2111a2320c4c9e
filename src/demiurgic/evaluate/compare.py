"""From scores to numbers with intervals: each model, each compared pair, each student's share of the teacher's lead.

Knows nothing of models or rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.evaluate.suite import UNIT_PROBABILITY, UNIT_SHARE
from demiurgic.stats import bootstrap
from demiurgic.stats.bootstrap import Measured
from demiurgic.stats.paired import Better, difference, recovered_share


@dataclass(frozen=True)
class Table:
    """One metric: what each model got on the same items."""

    metric: str
    suite: str
    better: Better | None
    """None for a number that is read beside a metric: neither direction is better."""
    unit: str
    models: Mapping[str, Measured]
    left_out: Mapping[str, int] = field(default_factory=dict)


def summarise(
    tables: Sequence[Table], *, compare: Sequence[tuple[str, str]], teacher: str | None, cluster_by: str, seed: int
) -> Summary:
    """Metrics `MODEL.METRIC`, `FIRST_vs_SECOND.METRIC` (first minus second) and `FIRST_vs_SECOND.recovered_share`.

    The share is of the teacher's lead over `second` in the metric of the first table; pairs that hold the teacher have
    none, and where the lead is not clearly positive the facts say so instead. The first table is of a metric.
    """
    metrics: dict[str, Metric] = {}
    detectable: dict[str, JSON] = {}
    undefined: dict[str, JSON] = {}
    for table in tables:
        estimate = bootstrap.share if table.unit in (UNIT_SHARE, UNIT_PROBABILITY) else bootstrap.ratio
        for model, measured in table.models.items():
            metrics[f"{model}.{table.metric}"] = estimate(measured, seed=seed)
    for first, second in compare:
        smallest: dict[str, JSON] = {}
        for table in tables:
            found = difference(table.models[first], table.models[second], seed=seed)
            metrics[f"{first}_vs_{second}.{table.metric}"] = found.metric
            if table.better is not None:
                smallest[table.metric] = found.minimal_detectable
        detectable[f"{first}_vs_{second}"] = smallest
        if teacher is not None and teacher not in (first, second) and tables[0].better is not None:
            recovered = recovered_share(
                tables[0].models[first],
                control=tables[0].models[second],
                teacher=tables[0].models[teacher],
                better=tables[0].better,
                seed=seed,
            )
            if recovered.share is not None:
                metrics[f"{first}_vs_{second}.recovered_share"] = recovered.share
            else:
                undefined[f"{first}_vs_{second}"] = f"{teacher} has no clear lead over {second}: {recovered.lead}"
    facts: dict[str, JSON] = {
        "models": list(tables[0].models),
        "compare": [list(pair) for pair in compare],
        "teacher": teacher,
        "cluster_by": cluster_by,
        "metrics": {table.metric: _facts(table) for table in tables if table.better is not None},
        "minimal_detectable_difference": detectable,
    }
    if beside := {table.metric: table.suite for table in tables if table.better is None}:
        facts["beside"] = dict(beside)
    if teacher is not None:
        facts["recovered_share"] = {"of": tables[0].metric, "undefined": undefined}
    return Summary(metrics, facts)


def _facts(table: Table) -> dict[str, JSON]:
    any_model = next(iter(table.models.values()))
    return {
        "suite": table.suite,
        "better": table.better,
        "unit": table.unit,
        "items": len(any_model.items),
        "clusters": any_model.num_clusters,
        "left_out": dict(table.left_out),
    }
