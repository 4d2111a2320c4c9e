"""Which rows of a finished step to look at, and reading them: batch by batch, only those that fit become objects."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.artifacts import Dataset, Manifest
from demiurgic.core.errors import UserError, unknown
from demiurgic.core.records import Row, from_batch
from demiurgic.core.row_batch import RowBatch

if TYPE_CHECKING:
    import pyarrow

DROPPED, WOULD_DROP = "dropped", "would_drop"
BOUND = re.compile(r"([^<>=]+?)\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?(?:[eE]-?\d+)?)")
COMPARE = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound on one of a row's scores: `quality<0.4`. A row without the score does not fit."""

    score: str
    sign: str
    value: float

    @classmethod
    def read(cls, text: str) -> "Bound":
        """Raises UserError when the text is no bound."""
        found = BOUND.fullmatch(text.strip())
        if found is None:
            raise UserError(f'"{text}" is no bound on a score. Write it like quality<0.4 (signs: < <= > >=).')
        return cls(found[1].strip(), found[2], float(found[3]))


@dataclass(frozen=True, slots=True)
class Query:
    """What a row must be to be shown; empty fields ask for nothing. Texts fit anywhere, in any case of letters."""

    source: str = ""
    reason: str = ""
    contains: str = ""
    bounds: Sequence[Bound] = ()


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row, the part it lies in, and why it went (empty for a row that stayed)."""

    row: Row
    part: str

    @property
    def dropped(self) -> Mapping[str, Any]:
        found = self.row.facts.get(DROPPED)
        return found if isinstance(found, dict) else {}

    @property
    def reason(self) -> str:
        return str(self.dropped.get("reason", ""))

    @property
    def evidence(self) -> str:
        return str(self.dropped.get("evidence", ""))

    @property
    def tags(self) -> Sequence[Mapping[str, Any]]:
        """Reason and evidence of each filter that only tags and would have dropped the row."""
        found = self.row.facts.get(WOULD_DROP)
        return [tag for tag in found if isinstance(tag, dict)] if isinstance(found, list) else []

    def has_reason(self, part: str) -> bool:
        """Whether this stands in the reason why the row went, or would have gone."""
        reasons = [self.reason, *(str(tag.get("reason", "")) for tag in self.tags)]
        return any(part.casefold() in reason.casefold() for reason in reasons)


def datasets_of(folder: Path, manifest: Manifest, *, part: str | None = None) -> dict[str, Dataset]:
    """The step's datasets by part, or the one part named. Raises UserError when there is none."""
    names = [name for name, made in manifest.parts.items() if made.kind == Dataset.kind]
    if not names or (part and part not in names):
        raise UserError(f"{manifest.step} has the datasets: {', '.join(names) or 'none'}. Name one with --part.")
    return {name: Dataset(folder / name, name, manifest) for name in ([part] if part else names)}


def find_rows(datasets: Mapping[str, Dataset], query: Query) -> Iterator[ShownRow]:
    """The rows that fit, part by part, in order. Raises UserError for a score that no row has."""
    wanted = {bound.score for bound in query.bounds}
    met: set[str] = set()
    for part, dataset in datasets.items():
        for batch in _batches(dataset):
            if wanted - met:
                met |= _score_names(batch)
            for row in from_batch(batch.filter(_mask(batch, query))):
                shown = ShownRow(row, part)
                if not query.reason or shown.has_reason(query.reason):
                    yield shown
    if wanted - met:
        raise UserError(f"{unknown('score', min(wanted - met), met)} No row has it.")


def rows_by_id(datasets: Mapping[str, Dataset], ids: set[str]) -> dict[str, ShownRow]:
    """The rows with these ids, by id; those that are in none of the datasets are left out."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import parquet

    wanted = pa.array(sorted(ids), pa.string())
    found: dict[str, ShownRow] = {}
    for part, dataset in datasets.items():
        for shard in _shards(dataset):
            # The ids of a shard are read first: most shards hold none of the rows.
            named = parquet.read_table(shard, columns=["id"]).column("id")
            places = pc.indices_nonzero(pc.is_in(named, value_set=wanted))
            if len(places):
                rows = parquet.read_table(shard).take(places).combine_chunks().to_batches()
                found |= {row.id: ShownRow(row, part) for batch in rows for row in from_batch(batch)}
    return found


def _batches(dataset: Dataset) -> "Iterator[pyarrow.RecordBatch]":
    from pyarrow import parquet

    for shard in _shards(dataset):
        with parquet.ParquetFile(shard) as file:
            yield from file.iter_batches(batch_size=4096)


def _shards(dataset: Dataset) -> list[Path]:
    return sorted(dataset.path.glob("rows-*.parquet"))


def _mask(batch: "pyarrow.RecordBatch", query: Query) -> "pyarrow.BooleanArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = pa.repeat(pa.scalar(True), batch.num_rows)
    if query.source:
        mask = pc.and_(mask, pc.match_substring(batch.column("source"), query.source, ignore_case=True))
    if query.reason:  # a screen: the reason itself is read from the rows that pass
        mask = pc.and_(mask, pc.match_substring_regex(batch.column("meta"), f'"({DROPPED}|{WOULD_DROP})"'))
    if query.contains:
        mask = pc.and_(mask, pc.match_substring(RowBatch(batch).whole, query.contains, ignore_case=True))
    for bound in query.bounds:
        values = pc.map_lookup(batch.column("scores"), pa.scalar(bound.score), "last")
        mask = pc.and_(mask, pc.fill_null(getattr(pc, COMPARE[bound.sign])(values, bound.value), False))
    return mask


def _score_names(batch: "pyarrow.RecordBatch") -> set[str]:
    return {str(name) for name in batch.column("scores").keys.unique().to_pylist()}


def plain(row: Row) -> dict[str, Any]:
    """The row as `--json` prints it."""
    shown: dict[str, Any] = json.loads(json.dumps(row.to_json()))
    return shown
