"""The whole curation of real rows: filters, exact and near-duplicates, split, statistics; Parquet to Parquet.

    python bench/curate.py                       # 100,000 rows
    python bench/curate.py --rows 1000000        # beyond the real rows, uses of them with their words in another order
    python bench/curate.py --workers 1 --memory-gb 0.5

Rows of `--data` in a seeded order. A row that is used again has the words of each message shuffled, so that two uses
share hardly a 3-gram. The curation runs in a process of its own, once to compile its kernels (on a few rows; they are
cached) and once measured: processor time of all its processes, and the most memory they held together. Processor time
by phase is that of the stage's own `cpu_seconds.json`.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from dedup import watched
from demiurgic.core.records import ROWS_PER_GROUP, ROWS_PER_SHARD, arrow_schema
from made_up import finished
from real_texts import Pair, data_folder, real_pairs
from tables import options, show

BENCHMARKS = ("humaneval", "mbpp", "gsm8k", "bbh", "llm_adapters")
FILTERS = ("schema", "language", "pii", "quality", "domain", "code_syntax", "decontaminate")


def main() -> int:
    parser = options("The whole curation of real rows.")
    parser.add_argument("--data", type=Path, help="a folder of public data; DEMIURGIC_DATA, or ../shared/data")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory-gb", type=float, default=1.0)
    parser.add_argument("--filters", nargs="*", default=FILTERS, help="other filters, by name")
    parser.add_argument("--one", nargs=2, type=Path, help=argparse.SUPPRESS)  # the measured process: rows, out
    arguments = parser.parse_args()
    data = data_folder(arguments.data)
    if arguments.one:
        curate(*arguments.one, data=data, arguments=arguments)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = real_pairs(data)
        num_bytes = write_rows(folder / "rows" / "rows", pairs, num_rows=arguments.rows)
        write_rows(folder / "few" / "rows", pairs, num_rows=2_000)
        measured(folder / "few" / "rows", folder / "warm", data=data, arguments=arguments)
        took = measured(folder / "rows" / "rows", folder / "made", data=data, arguments=arguments)
        phases = json.loads((folder / "made" / "cpu_seconds.json").read_text())
        summary = json.loads((folder / "made" / "manifest.json").read_text())["summary"]["metrics"]
    rows = [{"phase": name, "us a row": 1e6 * seconds / arguments.rows} for name, seconds in phases.items()]
    rows.append({"phase": "starting processes, and all else", "us a row": 1e6 * _rest(took, phases) / arguments.rows})
    facts = {
        "rows in": arguments.rows, "bytes a row": num_bytes / arguments.rows, "seconds": took["seconds"],
        "rows a second": arguments.rows / took["seconds"], "cpu us a row": 1e6 * took["cpu_seconds"] / arguments.rows,
        "peak MB": took["peak MB"], "kept": round(summary["rows_in"]["value"] - summary["dropped"]["value"]),
        "workers": arguments.workers, "filters": " ".join(arguments.filters),
    }  # fmt: skip
    show("A whole curation", rows, as_json=arguments.json, **facts)
    return 0


def _rest(took: dict[str, float], phases: dict[str, float]) -> float:
    return took["cpu_seconds"] - sum(phases.values())


def measured(rows: Path, out: Path, *, data: Path, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--data", str(data), "--workers", str(arguments.workers)]
    command += ["--memory-gb", str(arguments.memory_gb), "--filters", *arguments.filters]
    os.environ["OMP_NUM_THREADS"] = "1"
    return watched([*command, "--one", str(rows), str(out)])


def curate(rows: Path, out: Path, *, data: Path, arguments: argparse.Namespace) -> None:
    import demiurgic
    from demiurgic.run.context import Context
    from demiurgic.run.engine import Engine

    values = {
        "data": str(rows), "filters": [_options(name, data) for name in arguments.filters], "deduplicate": "near",
        "split": {"held_out": 0.05, "validation": 0.02}, "memory_gb": arguments.memory_gb,
    }  # fmt: skip
    demiurgic.run_stage("curate", values, out, seed=1, context=Context(engine=Engine(arguments.workers)))


def _options(name: str, data: Path) -> dict[str, Any]:
    if name == "decontaminate":
        return {"use": name, "files": [str(data / "benchmarks" / each) for each in BENCHMARKS]}
    return {"use": name}


def write_rows(folder: Path, pairs: Sequence[Pair], *, num_rows: int, seed: int = 0) -> int:
    """Write rows as the stages do; returns the bytes of their texts."""
    folder.mkdir(parents=True)
    num_bytes, drawn = 0, _drawn(pairs, np.random.default_rng(seed))
    for shard, start in enumerate(range(0, num_rows, ROWS_PER_SHARD)):
        part = [next(drawn) for _ in range(min(ROWS_PER_SHARD, num_rows - start))]
        num_bytes += sum(len(pair.text.encode()) for pair in part)
        path = folder / f"rows-{shard:05d}.parquet"
        parquet.write_table(_table(part, first=start), path, compression="zstd", row_group_size=ROWS_PER_GROUP)
    finished(folder, kind="dataset")
    return num_bytes


def _drawn(pairs: Sequence[Pair], rng: np.random.Generator) -> Iterator[Pair]:
    """All rows in a random order, and then again and again, each time with their words in another order."""
    for place in rng.permutation(len(pairs)):
        yield pairs[place]
    while True:
        for place in rng.permutation(len(pairs)):
            pair = pairs[place]
            yield Pair(pair.source, _shuffled(pair.asks, rng), _shuffled(pair.answers, rng))


def _shuffled(text: str, rng: np.random.Generator) -> str:
    words = text.split(" ")
    return " ".join([words[place] for place in rng.permutation(len(words))])


def _table(pairs: Sequence[Pair], *, first: int) -> pa.Table:
    said = [text for pair in pairs for text in (pair.asks, pair.answers)]
    none, starts = pa.nulls(len(said), pa.string()), pa.array(range(0, len(said) + 1, 2), pa.int32())
    schema = arrow_schema()
    message = schema.field("messages").type.value_type
    columns = [
        pa.array(["user", "assistant"] * len(pairs)), pa.array(said, pa.string()),
        pa.array([[]] * len(said), message.field("tool_calls").type), none, none, pa.nulls(len(said), pa.float64()),
    ]  # fmt: skip
    messages = pa.StructArray.from_arrays(columns, fields=[message.field(n) for n in range(message.num_fields)])
    made = {
        "id": pa.array([f"bench:{first + number}" for number in range(len(pairs))]),
        "messages": pa.ListArray.from_arrays(starts, messages),
        "rejected": pa.array([[]] * len(pairs), schema.field("rejected").type),
        "source": pa.array([pair.source for pair in pairs]),
        "scores": pa.array([[]] * len(pairs), schema.field("scores").type),
        "meta": pa.array(["{}"] * len(pairs)),
    }
    empty = {"content_hash": "", "license": "", "domain": "", "teacher": ""}
    made |= {name: pa.array([value] * len(pairs)) for name, value in empty.items()}
    made |= {name: pa.nulls(len(pairs), pa.string()) for name in ("text", "tools")}
    return pa.table([made[name] for name in schema.names], schema=schema)


if __name__ == "__main__":
    raise SystemExit(main())
