"""The scores on disk: one line per model and item, and what the models wrote. Knows nothing of how they are made."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from demiurgic.evaluate.suite import Item, Result
from demiurgic.stats.bootstrap import Measured


@dataclass(frozen=True)
class Scored:
    """What one model got in one suite, in the order of the suite's items."""

    model: str
    suite: str
    metric: str
    results: Sequence[Result]
    clusters: Sequence[str]

    @property
    def measured(self) -> Measured:
        return Measured(
            items=[result.item.id for result in self.results],
            clusters=self.clusters,
            numerators=[result.numerator for result in self.results],
            denominators=[result.denominator for result in self.results],
            gaps=[result.gaps or () for result in self.results] if self.results[0].gaps is not None else None,
        )

    def beside(self, metric: str) -> "Scored":
        """A number that was taken beside the metric, in the same form."""
        results = [Result(result.item, result.beside[metric], result.denominator) for result in self.results]
        return replace(self, metric=metric, results=results)


def in_order(results: Iterable[Result], items: Sequence[Item]) -> list[Result]:
    """Results in the order of the items. Raises AssertionError unless there is exactly one per item."""
    by_id = {result.item.id: result for result in results}
    if by_id.keys() != {item.id for item in items} or len(by_id) != len(items):
        raise AssertionError(f"{len(by_id)} results for {len(items)} items: a suite must measure each item once")
    return [by_id[item.id] for item in items]


def write_scores(folder: Path, scored: Sequence[Scored]) -> None:
    """Write `scores.parquet`, a line per model, suite and item, and `answers.jsonl`, a line per answer to look at."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = [(name, pa.string()) for name in ("model", "suite", "metric", "item", "cluster")]
    columns += [("numerator", pa.float64()), ("denominator", pa.float64())]
    if any(result.gaps is not None for one in scored for result in one.results):
        columns.append(("gaps", pa.list_(pa.float64())))
    schema = pa.schema(columns)
    folder.mkdir(parents=True)
    with (
        parquet.ParquetWriter(folder / "scores.parquet", schema, compression="zstd") as table,
        (folder / "answers.jsonl").open("w", encoding="utf-8") as answers,
    ):
        for one in scored:
            lines = []
            for result, cluster in zip(one.results, one.clusters, strict=True):
                head = {"model": one.model, "suite": one.suite, "metric": one.metric, "item": result.item.id}
                numbers = {"numerator": result.numerator, "denominator": result.denominator, "gaps": result.gaps}
                lines.append({**head, "cluster": cluster, **numbers})
                if result.evidence is not None:
                    answers.write(json.dumps({**head, **result.evidence}, ensure_ascii=False) + "\n")
            table.write_table(pa.Table.from_pylist(lines, schema=schema))
