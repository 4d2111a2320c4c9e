"""Questions of evaluation sets are found before they are paid for."""

import json
from pathlib import Path

import pytest

from demiurgic.core.errors import RecipeError
from mock_openai import MockOpenAI, Says, question
from toy_talks import numbers, rows, walk

ASKED = json.loads((Path(__file__).parents[1] / "toy_benchmark" / "sums.jsonl").read_text().splitlines()[0])["question"]
STEPS = """\
  talks:
    use: talks
    count: 3
    more: [{{messages: [{{role: user, content: "{asked}"}}]}}]
  made: {{use: generate, prompts: talks, teacher: {teacher}, avoid: {{files: [sums.jsonl]}}{more}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sums.jsonl").write_text(json.dumps({"question": ASKED, "answer": "39"}) + "\n")
    return tmp_path


def steps(teacher: str = "scripted", more: str = "", asked: str = f"Work this out. {ASKED}") -> str:
    return STEPS.format(teacher=teacher, more=more, asked=asked)


def test_no_request_is_made_for_a_question_of_an_evaluation_set(folder):
    asked = []

    def said(body):
        asked.append(question(body))
        return Says()

    with MockOpenAI(said) as mock:
        _, made = walk(folder, steps(f"{{use: openai, model: small, base_url: '{mock.url}'}}"))
    assert sorted(asked) == ["Question 0?", "Question 1?", "Question 2?"]
    assert [numbers(made)[name] for name in ("rows_in", "rows", "dropped", "asked")] == [4, 3, 1, 3]


def test_what_is_not_asked_is_counted_and_listed_with_benchmark_and_item(folder):
    _, made = walk(folder, steps())
    (dropped,) = rows(made, "dropped")
    assert dropped.id == "more:0"
    assert dropped.facts["dropped"]["reason"] == "a question of an evaluation set"
    assert dropped.facts["dropped"]["evidence"].startswith("sums 1, exact, coverage 1.00")
    assert made.manifest.summary.facts["avoided"] == {"sums": 1}


def test_a_count_is_of_questions_that_may_be_asked_and_the_others_are_listed(folder):
    _, made = walk(folder, steps(more=", count: 3, samples: 2"))
    assert sorted({row.facts["generated"]["prompt"] for row in rows(made)}) == ["talk:0", "talk:1", "talk:2"]
    assert [row.id for row in rows(made, "dropped")] == ["more:0"]
    assert "skipped" not in made.manifest.summary.facts
    assert made.manifest.summary.facts["avoided"] == {"sums": 1}


def test_the_step_is_made_again_when_the_evaluation_set_has_changed(folder):
    walk(folder, steps())
    assert walk(folder, steps())[1].status == "reused"
    (folder / "sums.jsonl").write_text(json.dumps({"question": "What are the next five prime numbers after 7?"}) + "\n")
    _, made = walk(folder, steps())
    assert made.status == "made"
    assert "avoided" not in made.manifest.summary.facts


def test_questions_of_a_dataset_are_avoided_too(folder):
    recipe = steps().replace("files: [sums.jsonl]", "data: [tests]")
    tests = f'  tests: {{use: talks, more: [{{messages: [{{role: user, content: "{ASKED}"}}]}}]}}\n'
    *_, made = walk(folder, tests + recipe)
    assert made.manifest.summary.facts["avoided"] == {"tests": 1}


def test_nothing_to_avoid_is_refused_when_the_recipe_is_read(folder):
    with pytest.raises(RecipeError, match="there is nothing to avoid"):
        walk(folder, steps().replace("files: [sums.jsonl]", "n: 13"))
