"""`--preset` on the command line: which values a run and its plan take."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from demiurgic.cli import plan, run
from demiurgic.core.errors import RecipeError

RECIPE = """\
name: sums
seed: 1
presets:
  half: {clean.split.held_out: 0.5}
steps:
  raw:   {use: collect, source: {use: files, paths: [rows.jsonl], license: MIT}}
  clean: {use: curate, data: raw, filters: [schema], split: {by: row, held_out: 0.1}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = ({"text": f"The sum of {n} and {n} is {n + n}."} for n in range(60))
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "sums.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def called(command: object, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)  # type: ignore[arg-type]


def held_out(place: Path) -> int:
    (manifest,) = place.glob("store/clean-*/manifest.json")
    return int(json.loads(manifest.read_text())["summary"]["metrics"]["held_out"]["value"])


def test_a_run_takes_its_values_and_the_ledger_says_so(place: Path):
    called(run.command, "sums.yaml", "--preset", "half", "-q")
    assert 20 <= held_out(place) <= 40
    made = [json.loads(line) for line in (place / "store" / "ledger.jsonl").read_text().splitlines()]
    assert {line["preset"] for line in made if line["event"] == "made"} == {"half"}


def test_set_comes_after_it(place: Path):
    called(run.command, "sums.yaml", "--preset", "half", "--set", "clean.split.held_out=0.1", "-q")
    assert held_out(place) < 20


def test_a_plan_is_that_of_the_preset(place: Path):
    called(run.command, "sums.yaml", "-q")
    assert '"action": "reuse"' in called(plan.command, "sums.yaml", "--json").output
    steps = json.loads(called(plan.command, "sums.yaml", "--preset", "half", "--json").output)["steps"]
    assert [step["action"] for step in steps] == ["reuse", "run"]


def test_an_unknown_one_is_refused_with_the_names_there_are(place: Path):
    with pytest.raises(RecipeError, match='There is no preset "halve". Did you mean "half"'):
        called(run.command, "sums.yaml", "--preset", "halve")
