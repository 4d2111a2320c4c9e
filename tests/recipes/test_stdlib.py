"""The recipe that everyone runs first, on two small packages and a few steps of training."""

import json
from pathlib import Path

import pytest

import demiurgic
from bench_modules import bench
from demiurgic.core.console import Console
from demiurgic.run.context import Context

SMALL = [
    "raw.source.packages=[json, textwrap, shlex, bisect, heapq, queue, sched, string, graphlib, tomllib]",
    "clean.split={by: module, held_out: 0.3, validation: 0.2}",
    "words.size=400",
    "rows.length=64",
    "rows.packing=fit",
    "few.share=0.5",
    "teacher.steps=2",
    "teacher.warmup_steps=1",
    "student.steps=2",
    "student.warmup_steps=1",
    "control_seconds.warmup_steps=30",
    "big.shape={hidden: 32, layers: 2, heads: 2, kv_heads: 1, head_dim: 16, intermediate: 64}",
    "small.shape={hidden: 32, layers: 1, heads: 2, kv_heads: 1, head_dim: 16, intermediate: 64}",
    "score.suites=[{use: bits_per_byte, length: 64, max_rows: 20}]",
    "score.gates=[]",
    "domain.filters.0.pattern=(textwrap|shlex|string|queue|heapq|tomllib.*)",
    "domain_new.filters.0.pattern=.*",
    "adapter.steps=2",
    "adapter.warmup_steps=1",
    "adapter.lora={rank: 2}",
    "score_domain.suites=[{use: bits_per_byte, length: 64, max_rows: 20}]",
    "answers.teacher={use: scripted, answers: ['return 1', 'def broken(']}",
    "answers.count=6",
    "answers_kept.split={by: row, held_out: 0.5}",
]
"""The recipe cut down to seconds; its steps and references stay as they are, but for the teacher's answers.

A teacher of two steps never ends an answer; `generate` with `served` has tests of its own.
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory):
    recipe = demiurgic.load_recipe("stdlib", overrides=SMALL)
    store = tmp_path_factory.mktemp("stdlib") / "store"
    context = Context(console=Console(quiet=True), base=recipe.path.parent)
    return {outcome.step: outcome for outcome in demiurgic.run_recipe(recipe, store=store, context=context)}


def test_every_step_is_made(outcomes):
    assert {outcome.status for outcome in outcomes.values()} == {"made"}


def test_the_table_compares_the_student_with_both_controls(outcomes):
    metrics = outcomes["score"].manifest.summary.metrics
    for name in (
        "teacher",
        "student",
        "control",
        "control_seconds",
        "student_vs_control",
        "student_vs_control_seconds",
    ):
        assert metrics[f"{name}.bits_per_byte"].n == 20


def test_no_held_out_module_was_trained_on(outcomes):
    from demiurgic.core.artifacts import Dataset

    folder = outcomes["clean"].folder
    modules = {
        part: {json.loads(row.meta)["module"] for row in Dataset.open(folder / part).rows()}
        for part in ("train", "validation", "held_out")
    }
    assert all(modules.values())
    assert not modules["train"] & modules["held_out"]
    assert not modules["train"] & modules["validation"]
    assert not modules["validation"] & modules["held_out"]


def test_the_student_and_its_control_saw_the_same_tokens(outcomes):
    student, control = (outcomes[name].manifest for name in ("student", "control"))
    assert student.summary.metrics["tokens"] == control.summary.metrics["tokens"]
    assert student.inputs["data"] == control.inputs["data"]
    assert "teacher" not in control.inputs


def test_every_recipe_that_comes_along_can_be_read():
    for path in (Path(__file__).parents[2] / "recipes").glob("*.yaml"):
        assert demiurgic.load_recipe(path).steps


def test_the_students_bench_expands_the_recipe_over_seeds():
    steps = demiurgic.load_recipe("stdlib", overrides=bench("students").over_seeds([1, 2])).steps
    assert set(steps["control_seconds[seed=2]"].depends_on) == {"small[seed=2]", "few", "checks", "student[seed=2]"}
    assert "student[seed=1]" in steps["score[seed=1]"].depends_on
    assert "student[seed=2]" not in steps["score[seed=1]"].depends_on


def test_a_second_run_makes_nothing(outcomes):
    store = outcomes["raw"].folder.parent
    recipe = demiurgic.load_recipe("stdlib", overrides=SMALL)
    again = demiurgic.run_recipe(recipe, store=store, context=Context(console=Console(quiet=True)))
    assert {outcome.step: outcome.status for outcome in again} == dict.fromkeys(outcomes, "reused")
