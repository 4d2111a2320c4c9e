import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from pydantic import ValidationError

from demiurgic.core.artifacts import Manifest, Scores
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Summary
from demiurgic.evaluate.evaluate import STAGE
from demiurgic.report.results import results_table
from demiurgic.run.step import run_stage, step_key
from tiny_code import CODE_ROWS, EXPLAIN_ROW, code_row, model_step
from tiny_models import QUIET, tiny_dataset

SUITES = [
    "bits_per_byte",
    {"use": "python_completion", "max_new_tokens": 80},
    {"use": "next_line", "max_new_tokens": 80},
]


@pytest.fixture(scope="module")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_step(tmp_path_factory.mktemp("models") / "knowing", knows=CODE_ROWS)


@pytest.fixture(scope="module")
def guessing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_step(tmp_path_factory.mktemp("models") / "guessing", seed=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "held_out", [*CODE_ROWS, EXPLAIN_ROW])


def evaluated(out: Path, *, seed: int = 0, **values: Any) -> Summary:
    return Manifest.read(run_stage(STAGE, values, out, seed=seed, context=QUIET)).summary


def test_a_model_that_knows_the_rows_beats_one_that_guesses(knowing: Path, guessing: Path, data: Path, tmp_path: Path):
    models = {"knowing": knowing, "guessing": guessing}
    summary = evaluated(tmp_path / "score", models=models, data=data, suites=SUITES, compare=[("knowing", "guessing")])
    assert summary.metrics["knowing.parses"].value == summary.metrics["knowing.exact_next_line"].value == 1
    assert summary.metrics["guessing.parses"].value == 0
    assert summary.metrics["knowing_vs_guessing.bits_per_byte"].high < 0
    assert summary.metrics["knowing_vs_guessing.parses"].low > 0
    assert summary.metrics["knowing.bits_per_byte"].n == 7
    assert summary.metrics["knowing.parses"].n == 6
    assert str(results_table(summary)).count("  better\n") == 3


def test_the_scores_hold_each_item_and_the_evidence_each_answer(knowing: Path, data: Path, tmp_path: Path):
    evaluated(tmp_path / "score", models={"student": knowing}, data=data, suites=SUITES)
    scores = Scores.open(tmp_path / "score").path
    table = parquet.read_table(scores / "scores.parquet").to_pylist()
    assert len(table) == 7 + 6 + 6
    assert {line["cluster"] for line in table} == {"sums", "counters", "files"}
    answers = [json.loads(line) for line in (scores / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {(line["suite"], line["score"]) for line in answers} == {("python_completion", 1.0), ("next_line", 1.0)}


def test_models_with_different_tokenizers_are_compared_on_the_same_items(guessing: Path, data: Path, tmp_path: Path):
    models = {"one": guessing, "other": model_step(tmp_path / "other", gpt2=True)}
    summary = evaluated(tmp_path / "score", models=models, data=data, suites=SUITES, compare=[("one", "other")])
    assert summary.metrics["one_vs_other.bits_per_byte"].value != 0
    assert {metric.n for name, metric in summary.metrics.items() if name.endswith("exact_next_line")} == {6}


def test_bits_per_byte_is_the_one_suite_of_an_evaluation_that_names_none(guessing: Path, data: Path, tmp_path: Path):
    summary = evaluated(tmp_path / "score", models={"student": guessing}, data=data)
    assert set(summary.metrics) == {"student.bits_per_byte"}


def test_the_same_seed_gives_the_same_numbers(guessing: Path, data: Path, tmp_path: Path):
    first, again, other = (
        evaluated(tmp_path / name, seed=seed, models={"student": guessing}, data=data).metrics["student.bits_per_byte"]
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again
    assert (first.value, first.n) == (other.value, other.n)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"compare": [("student", "contrl")]}, 'no model among `models` named "contrl". Did you mean "control"'),
        ({"teacher": "teacher"}, 'no model among `models` named "teacher".* Known: control, student'),
        ({"compare": [("student", "student")]}, 'compare holds "student" against itself'),
        ({"suites": ["next_lines"]}, 'no suite "next_lines". Did you mean "next_line"'),
        ({"suites": [{"use": "next_line", "max_rows": 0}]}, "max_rows: Input should be greater than or equal to 1"),
        ({"suites": ["next_line", "next_line"]}, "two suites give the metric exact_next_line"),
    ],
)
def test_a_mistake_in_the_values_is_named_before_anything_runs(
    values: dict[str, Any], complaint: str, guessing: Path, data: Path, tmp_path: Path
):
    with pytest.raises(ValidationError, match=complaint):
        evaluated(tmp_path / "score", **{"models": {"student": guessing, "control": guessing}, "data": data, **values})


def test_a_model_name_that_would_make_metric_names_ambiguous_is_refused(guessing: Path, data: Path, tmp_path: Path):
    with pytest.raises(ValidationError, match='"student.v2" must hold neither'):
        evaluated(tmp_path / "score", models={"student.v2": guessing}, data=data)


def test_an_empty_data_set_is_refused(guessing: Path, tmp_path: Path):
    nothing = tiny_dataset(tmp_path / "nothing", [])
    with pytest.raises(UserError, match="holds no rows, so there is nothing to measure on"):
        evaluated(tmp_path / "score", models={"student": guessing}, data=nothing)


def test_rows_that_share_an_id_are_refused(guessing: Path, tmp_path: Path):
    twice = tiny_dataset(tmp_path / "twice", [CODE_ROWS[0], CODE_ROWS[0]])
    with pytest.raises(UserError, match="several rows with the id code:0"):
        evaluated(tmp_path / "score", models={"student": guessing}, data=twice)


def test_rows_of_one_cluster_alone_have_no_interval_and_are_refused(guessing: Path, tmp_path: Path):
    one = tiny_dataset(
        tmp_path / "one", [code_row("sums", "def f():\n", f"    return {n}", id=f"f:{n}") for n in range(3)]
    )
    with pytest.raises(UserError, match="at least 2 clusters, found 1 over 3 items"):
        evaluated(tmp_path / "score", models={"student": guessing}, data=one)


def test_a_model_whose_context_is_shorter_than_the_windows_is_refused(data: Path, tmp_path: Path):
    short = model_step(tmp_path / "short", context=64)
    with pytest.raises(UserError, match="student attends to 64 tokens and the windows have 256"):
        evaluated(tmp_path / "score", models={"student": short}, data=data)


def test_a_model_is_not_measured_on_what_it_was_made_from(data: Path, tmp_path: Path):
    student = model_step(tmp_path / "trained", made_from={"data": data})
    with pytest.raises(UserError, match="model student was trained or chosen on this data: its step trained .*`data`"):
        evaluated(tmp_path / "score", models={"student": student}, data=data)


def test_a_model_is_not_measured_on_what_its_ancestors_were_made_from(data: Path, tmp_path: Path):
    teacher = model_step(tmp_path / "teacher", made_from={"data": data})
    student = model_step(tmp_path / "student", made_from={"model": teacher})
    with pytest.raises(UserError, match="model kid was trained or chosen on this data: its step teacher .*`data`"):
        evaluated(tmp_path / "score", models={"kid": student}, data=data)


def test_a_model_made_from_other_data_is_measured(data: Path, tmp_path: Path):
    other = tiny_dataset(tmp_path / "other", CODE_ROWS[:2])
    student = model_step(tmp_path / "trained", made_from={"data": other})
    assert evaluated(tmp_path / "score", models={"student": student}, data=data).metrics


def test_what_each_training_took_stands_in_the_facts_and_in_the_table(guessing: Path, data: Path, tmp_path: Path):
    took = {"tokens": 409600, "steps": 400, "train_seconds": 61.23, "epochs": 2}
    trained = model_step(tmp_path / "trained", took=took)
    summary = evaluated(tmp_path / "score", models={"student": trained, "blank": guessing}, data=data)
    assert summary.facts["training"] == {
        "student": {"tokens": 409600, "steps": 400, "train_seconds": 61.23},
        "blank": {},
    }
    assert "409,600" in str(results_table(summary))


def test_a_training_that_took_longer_is_another_key(data: Path, tmp_path: Path):
    keys = set()
    for seconds in (1.0, 2.0):
        model = model_step(tmp_path / f"trained-{seconds}", took={"train_seconds": seconds})
        config = STAGE.config.model_validate({"models": {"student": model}, "data": data})
        keys.add(step_key(STAGE, config, seed=0, base=tmp_path))
    assert len(keys) == 2
