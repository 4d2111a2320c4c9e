"""`deduplicate` as a recipe says it, through the stage: what dropped rows hold, and an index that a later step uses."""

import json

import pytest

import demiurgic
from demiurgic.core.artifacts import Dataset, Fingerprints
from demiurgic.core.errors import UserError
from demiurgic.run.context import Context
from spilled import QUIET
from tiny_rows import chat

RECIPE = """\
name: two_years
seed: 1
steps:
  old:   {use: collect, source: {use: files, paths: [old.jsonl]}}
  new:   {use: collect, source: {use: files, paths: [new.jsonl]}}
  first: {use: curate, data: old, filters: [], deduplicate: {near: {}, keep_index: true}, split: {held_out: 0}}
  later: {use: curate, data: new, filters: [], deduplicate: {near: NEAR, against: [first.index]}, split: {held_out: 0}}
"""
ANSWER = " ".join(f"word{number}" for number in range(40))
OLD = [chat("Count!", ANSWER, id="old1"), chat("Count!", ANSWER + " more", id="old2"), chat("Sing!", "La", id="old3")]
NEW = [chat("Count!", "So " + ANSWER, id="new1"), chat("Sing!", "La", id="new2"), chat("Dance!", "Step", id="new3")]


def run(folder, *, near="{}"):
    for name, rows in (("old", OLD), ("new", NEW)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    (folder / "r.yaml").write_text(RECIPE.replace("NEAR", near))
    recipe = demiurgic.load_recipe(folder / "r.yaml")
    demiurgic.run_recipe(recipe, store=folder / "store", context=Context(console=QUIET, base=folder))


def folder_of(folder, step):
    (found,) = [path for path in (folder / "store").iterdir() if path.name.startswith(f"{step}-")]
    return found


def dropped(folder, step):
    rows = Dataset.open(folder_of(folder, step) / "dropped").rows()
    return {row.id: row.facts["dropped"] for row in rows}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    run(folder)
    return folder


def test_a_dropped_row_holds_its_witness_similarity_and_key(made):
    found = dropped(made, "first")
    assert set(found) == {"old2"}
    assert found["old2"]["reason"].startswith("near-duplicate: ")
    assert (found["old2"]["witness"], found["old2"]["key"]) == ("old1", "pair")
    assert found["old2"]["similarity"] == pytest.approx(39 / 40)


def test_a_later_step_is_compared_with_the_index_of_an_earlier_one(made):
    found = dropped(made, "later")
    assert {row: drop["witness"] for row, drop in found.items()} == {"new1": "old1", "new2": "old3"}
    assert Fingerprints.open(folder_of(made, "first") / "index").name == "index"


def test_the_summary_says_how_good_the_search_was(made):
    summary = Dataset.open(folder_of(made, "first") / "train").manifest.summary
    metrics = {
        name: metric.value for name, metric in summary.metrics.items() if "recall" in name or "precision" in name
    }
    assert metrics == {"duplicates.recall": 1, "duplicates.precision": 1}


def test_an_index_of_other_settings_stops_the_step_and_is_named(tmp_path):
    with pytest.raises(UserError, match=r"first-.*index was made with n 3 where this curation has 5"):
        run(tmp_path, near="{n: 5}")


def test_a_dataset_is_no_index(tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE.replace("NEAR", "{}").replace("first.index", "first.train"))
    with pytest.raises(UserError, match="fingerprints"):
        demiurgic.load_recipe(tmp_path / "r.yaml")
