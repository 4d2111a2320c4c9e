"""The bench of near-duplicates: contenders agree on what a duplicate is, and what is planted in the job is as said."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from bench_modules import bench

TEXTS = [
    f"row {number} says one thing and row {number + 1} says quite another thing at the end" for number in range(40)
]


def test_both_methods_report_what_they_remove(tmp_path: Path):
    file = tmp_path / "texts.json"
    file.write_text(json.dumps([*TEXTS, *TEXTS[:3], "a b c d", "a b c d e f g h i j k l"]))
    for method in ("exact", "minhash"):
        assert json.loads(bench("dedup").ours(method, str(file), threads=1))["removed"] == [40, 41, 42]


def test_contenders_are_judged_by_what_the_exact_join_removes():
    dedup = bench("dedup")
    took = {"cpu_seconds": 2.0, "seconds": 3.0, "peak_bytes": 5_000_000}
    found = {
        dedup.EXACT: [{**took, "removed": [1, 2, 3, 4]}],
        dedup.MINHASH: [{**took, "removed": [1, 2, 3]}],
        "rensa": [{**took, "cpu_seconds": 20.0, "removed": [1, 2, 8, 9]}],
    }
    rows = {row["contender"]: row for row in dedup.compared(found, num_bytes=10_000_000)}
    assert (rows[dedup.MINHASH]["recall"], rows[dedup.MINHASH]["precision"]) == (0.75, 1.0)
    assert (rows["rensa"]["recall"], rows["rensa"]["precision"]) == (0.5, 0.5)
    assert rows["rensa"]["minhash ÷ theirs"] == pytest.approx(10)
    assert rows[dedup.EXACT]["MB/cpu-s"] == pytest.approx(5)


def test_planted_rows_are_as_similar_as_said_and_others_are_not(tmp_path: Path):
    planted = bench("planted")
    words = np.random.default_rng(0).integers(0, 3000, (60, 40))
    texts = [" ".join(f"w{word}" for word in row) for row in words]
    job = planted.write_job(tmp_path, texts, num_rows=200, mean_bytes=1200, share_planted=0.1)
    from pyarrow import parquet

    from demiurgic.core.records import read_rows
    from demiurgic.text.ngrams import Shingling
    from plain_sets import jaccard, ngrams

    rows = list(read_rows(tmp_path))
    assert len(rows) == job.num_rows == parquet.read_table(tmp_path).num_rows
    grams = [ngrams("\n".join(message.content for message in row.messages), Shingling()) for row in rows]
    pairs = [(row, job.of_row[row]) for row in np.flatnonzero(job.of_row >= 0)]
    assert len(pairs) == 20
    for row, other in pairs:
        assert jaccard(grams[row], grams[other]) == pytest.approx(job.jaccard[row])
        assert job.jaccard[row] > 0.65
    alone = sorted(set(range(200)) - {place for pair in pairs for place in pair})
    assert max(jaccard(grams[a], grams[b]) for a in alone[:40] for b in alone[:40] if a != b) < 0.2


def test_a_small_job_goes_through_curate_and_is_judged(tmp_path: Path):
    dedup = bench("dedup")
    words = np.random.default_rng(0).integers(0, 3000, (60, 40))
    data = tmp_path / "data" / "made"
    data.mkdir(parents=True)
    records = [{"instruction": " ".join(f"w{word}" for word in row), "output": "yes it is"} for row in words]
    (data / "rows.json").write_text(json.dumps(records))
    arguments = argparse.Namespace(data=tmp_path / "data", rows=300)
    job = dedup.made_job(tmp_path, arguments)
    dedup.curate_job("exact", str(tmp_path / "job"), str(tmp_path / "made"), memory_gb=0.1)
    found = dedup.judged(tmp_path / "made", job, tmp_path / "job")
    assert found["recall, planted"] == found["precision"] == 1.0
    assert found["all witnesses stay"]
    assert found["removed"] >= len(job.similar(0.8)[0])
