"""Rows that hold a question of an evaluation set: where it is looked for, and what is said of them."""

import json
from pathlib import Path

import pytest

import demiurgic
from demiurgic.core.artifacts import Dataset
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.core.records import Message, Row, to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS
from demiurgic.run.context import Context
from demiurgic.run.store import Store
from tiny_rows import chat

SETS = Path(__file__).parents[2] / "toy_benchmark"
ASKED = [json.loads(line)["question"] for line in (SETS / "sums.jsonl").read_text().splitlines()]


def judged(*rows: Row, **options):
    choice = FILTERS.choose({"use": "decontaminate", "files": ["*.jsonl"], **options})
    return choice(RowBatch(to_batch(rows), SETS))


def test_a_question_is_found_in_any_message_and_in_a_text():
    turns = (
        Message("user", "Hi"),
        Message("assistant", "Hello."),
        Message("user", ASKED[0]),
        Message("assistant", "39"),
    )
    found = judged(
        Row("turns", turns), chat("A riddle?", f"{ASKED[1]} 24.", id="answer"), Row("text", text=f"1. {ASKED[0]}"),
        chat("Hi", "Hello.", id="clean"),
    )  # fmt: skip
    assert found.reason_N.tolist() == [0, 0, 0, -1]


def test_evidence_names_benchmark_item_and_place_and_a_few_words():
    found = judged(chat(f"Solve: {ASKED[0]}", "39"))
    assert found.evidence[0].startswith("sums 1, exact, coverage 1.00, bytes 7 to ")
    assert found.evidence[0].endswith("…")
    assert "left on the trays" not in found.evidence[0]


def test_rows_are_counted_by_benchmark():
    assert judged(chat(ASKED[0], "39"), chat(ASKED[1], "24"), chat("Hi", "Ho")).counts == {"sums": 2}


def test_no_evaluation_set_is_a_mistake():
    with pytest.raises(UserError, match="There is nothing to look for"):
        judged(chat("Hi", "Ho"), files=[])


def test_a_stricter_coverage_keeps_a_row_with_half_of_a_question():
    half = chat(ASKED[0][:80], "What then?")
    assert judged(half).reason_N.tolist() == [0]
    assert judged(half, coverage=0.9, fuzzy=None).reason_N.tolist() == [-1]


RECIPE = """\
name: clean
steps:
  tests: {use: collect, source: {use: files, paths: [tests.jsonl]}}
  raw:   {use: collect, source: {use: files, paths: [rows.jsonl]}}
  clean:
    use: curate
    data: raw
    filters: [{use: decontaminate, data: [tests]}, {use: decontaminate, files: [more]}]
    split: {by: row, held_out: 0, validation: 0}
"""


def test_a_curation_looks_for_the_rows_of_another_dataset_and_for_files_beside_the_recipe(tmp_path: Path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "boats.jsonl").write_text(json.dumps({"question": ASKED[1]}) + "\n")
    write(tmp_path / "tests.jsonl", [ASKED[0]])
    write(tmp_path / "rows.jsonl", [f"{ASKED[0]} Please!", "Hello?", "Say hello.", ASKED[1]])
    recipe = demiurgic.load_recipe(tmp_path / "recipe.yaml")
    context = Context(console=Console(quiet=True), base=tmp_path)
    *_, made = demiurgic.run_recipe(recipe, store=tmp_path / "store", context=context)
    reasons = "decontaminate: holds a question of an evaluation set"
    assert made.manifest.summary.facts["dropped"] == {"rows.jsonl": {reasons: 2}}
    dropped = Dataset.open(Store(tmp_path / "store").named("clean") / "dropped").rows()
    said = [row.facts["dropped"]["evidence"].partition(",")[0] for row in dropped]
    assert said == ["tests tests.jsonl:1", "more/boats 1"]


def write(path: Path, questions: list[str]) -> None:
    lines = [[{"role": "user", "content": asked}, {"role": "assistant", "content": "Well."}] for asked in questions]
    path.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in lines))
