import json
from pathlib import Path

import pytest
from pyarrow import parquet

from demiurgic.evaluate.scores import Scored, in_order, write_scores
from demiurgic.evaluate.suite import Item, Result
from tiny_code import CODE_ROWS

ITEMS = [Item(row.id, row) for row in CODE_ROWS[:3]]


def scored(*numerators: float, evidence: dict[str, str] | None = None) -> Scored:
    results = [Result(item, numerator, 1.0, evidence) for item, numerator in zip(ITEMS, numerators, strict=True)]
    return Scored("student", "next_line", "exact_next_line", results, ["sums", "sums", "counters"])


def test_every_item_of_every_model_is_a_line(tmp_path: Path):
    write_scores(tmp_path / "scores", [scored(1, 0, 1)])
    lines = parquet.read_table(tmp_path / "scores" / "scores.parquet").to_pylist()
    assert lines[2] == {
        "model": "student",
        "suite": "next_line",
        "metric": "exact_next_line",
        "item": "code:2",
        "cluster": "counters",
        "numerator": 1.0,
        "denominator": 1.0,
    }
    assert len(lines) == 3


def test_what_was_written_stands_beside_the_scores(tmp_path: Path):
    write_scores(tmp_path / "scores", [scored(1, 0, 1, evidence={"answer": "größer"})])
    lines = [
        json.loads(line) for line in (tmp_path / "scores" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [line["item"] for line in lines] == ["code:0", "code:1", "code:2"]
    assert lines[0]["answer"] == "größer"


def test_results_are_put_into_the_order_of_the_items():
    results = [Result(item, number, 1.0) for number, item in enumerate(ITEMS)]
    assert in_order(reversed(results), ITEMS) == results


def test_a_suite_that_forgets_an_item_is_our_mistake():
    with pytest.raises(AssertionError, match="2 results for 3 items"):
        in_order([Result(item, 1.0, 1.0) for item in ITEMS[:2]], ITEMS)
