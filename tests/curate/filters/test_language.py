"""The filter `language`: labels rows, and drops what a recipe does not keep."""

import json

import numpy as np
import pytest
from pydantic_core import PydanticCustomError

from demiurgic.collect.collect import STAGE as COLLECT
from demiurgic.core.artifacts import Dataset
from demiurgic.curate.curate import STAGE
from demiurgic.curate.filters import FILTERS
from demiurgic.curate.filters.language import language
from demiurgic.run.context import Context
from demiurgic.run.step import run_stage
from row_batches import reasons, talks
from tiny_rows import chat

GERMAN = "Der Fluss entspringt im Gebirge und fließt durch das ganze Land."
FUNCTION = "def add(first, second):\n    total = first + second\n    return total\n"
ROWS = talks(
    ("How does the heart work?", "It pumps blood through two loops."),
    ("Wo entspringt der Fluss?", GERMAN),
    ("x = f(1);", FUNCTION),
    ("1 + 1 =", "2"),
)


def test_without_keep_rows_are_labelled_and_stay():
    found = language(ROWS)
    assert found.labels["language"].to_pylist() == ["en", "de", "code", None]
    assert np.isnan(found.scores["language_confidence"]).tolist() == [False, False, False, True]
    assert reasons(found) == [None] * 4


def test_only_languages_to_keep_stay_and_rows_in_none():
    found = language(ROWS, keep=["en", "code"])
    assert reasons(found) == [None, "language not to keep", None, None]
    assert found.evidence[1].startswith("de (")


def test_what_is_told_unsurely_is_not_written_and_goes_where_languages_are_chosen():
    unsure = talks(("ok", "ok"), ("How does the heart work?", "It pumps blood through two loops."))
    assert language(unsure, min_confidence=0.9).labels["language"].to_pylist() == [None, "en"]
    assert reasons(language(unsure, min_confidence=0.9)) == [None, None]
    kept = language(unsure, keep=[language(unsure).labels["language"][0].as_py(), "en"], min_confidence=0.9)
    assert reasons(kept) == ["language not sure", None]


def test_the_answer_can_be_looked_at_alone():
    rows = talks(("Please translate this sentence about a river that I wrote into German.", GERMAN))
    assert language(rows, of="answer").labels["language"].to_pylist() == ["de"]
    assert language(rows, of="question").labels["language"].to_pylist() == ["en"]


@pytest.mark.parametrize("options", [{"keep": []}, {"keep": ["English"]}, {"min_confidence": 2}, {"of": "prompt"}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(PydanticCustomError, match="language"):
        FILTERS.choose({"use": "language", **options})


def test_a_curation_writes_the_language_into_meta_and_scores(tmp_path):
    rows = [chat("How does the heart work?", "It pumps blood.", id="a"), chat("Wo?", GERMAN, id="b")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    source = {"use": "files", "paths": ["rows.jsonl"]}
    raw = run_stage(COLLECT, {"source": source}, tmp_path / "raw", context=Context(base=tmp_path))
    filters = [{"use": "language", "keep": ["en"]}]
    split = {"by": "row", "held_out": 0}
    out = run_stage(STAGE, {"data": str(raw), "filters": filters, "split": split}, tmp_path / "clean")
    (kept,) = Dataset.open(out / "train").rows()
    assert kept.facts["language"] == "en"
    assert 0 < kept.scores["language_confidence"] <= 1
    (dropped,) = Dataset.open(out / "dropped").rows()
    assert dropped.facts["dropped"]["reason"] == "language: language not to keep"
