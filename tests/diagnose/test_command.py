"""`demiurgic diagnose`, as typed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from demiurgic.api import load_recipe, plan
from demiurgic.cli.diagnose import command
from demiurgic.core.errors import UserError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(clinic: Path, *words: str) -> Result:
    """The command as it ends: a UserError is raised, as the program's own entry point expects it."""
    return CliRunner().invoke(
        command, [*words, "--store", str(clinic.parent / "store")], catch_exceptions=False, standalone_mode=False
    )


def test_a_healthy_training_ends_with_0_and_says_what_was_looked_for(clinic: Path, here: Path):
    result = typed(clinic, "student")
    assert result.return_value == 0
    assert "Nothing found. Looked for on 105 lines of the log: failed, non_finite," in result.output
    assert "Not looked for: soft_top_k, since the teacher is no top-k cache." in result.output
    assert list(here.iterdir()) == []


def test_a_sick_one_ends_with_1_and_leaves_a_recipe_that_plans(clinic: Path, here: Path):
    before = clinic.read_bytes()
    result = typed(clinic, "hearted")
    assert result.return_value == 1
    assert "wrong     train_eval_gap" in result.output and "(patience: 3)" in result.output
    assert "Written: taught.fixed.yaml    (see: demiurgic plan taught.fixed.yaml)" in result.output
    fixed = load_recipe(here / "taught.fixed.yaml")
    assert fixed.steps["hearted"].config.patience == 3  # type: ignore[attr-defined]
    assert "patience" not in clinic.read_text() and clinic.read_bytes() == before
    shutil.copy(here / "taught.fixed.yaml", clinic.with_name("better.yaml"))
    (again,) = (
        s
        for s in plan(load_recipe(clinic.with_name("better.yaml")), store=clinic.parent / "store").steps
        if s.step == "hearted"
    )
    clinic.with_name("better.yaml").unlink()
    assert again.action == "run" and "patience None -> 3" in again.why


def test_doubts_alone_end_with_0(clinic: Path, here: Path):
    assert typed(clinic, str(clinic), "--step", "young", "--fix", "longer.yaml").return_value == 0
    assert load_recipe(here / "longer.yaml").steps["young"].config.steps == 90  # type: ignore[attr-defined]


def test_json_holds_findings_changes_and_what_was_not_looked_for(clinic: Path, here: Path):
    result = typed(clinic, "wild", "--json")
    told: dict[str, Any] = json.loads(result.output)
    assert result.return_value == 1 and told["step"] == "wild" and told["steps"] == 48
    (high,) = (f for f in told["findings"] if f["symptom"] == "learning_rate_too_high")
    assert high["changes"] == [{"step": "wild", "place": "learning_rate", "value": 1.5}]
    assert told["not_checked"]["soft_top_k"] == "the teacher is no top-k cache"
    assert "+" in told["diff"] and told["fixed"] == "taught.fixed.yaml" and (here / "taught.fixed.yaml").exists()


def test_without_its_recipe_the_config_is_shown_corrected(clinic: Path, here: Path):
    store = here / "elsewhere"
    store.mkdir()
    (source,) = (clinic.parent / "store").glob("hearted-*")
    shutil.copytree(source, store / source.name)
    result = typed(clinic, str(store / source.name))
    assert "-patience: null\n+patience: 3\n" in result.output
    assert "The recipe is not known, so this is the step's config" in result.output
    with pytest.raises(UserError, match="there is none to correct. Name it: --recipe"):
        typed(clinic, str(store / source.name), "--fix", "better.yaml")


def test_a_correction_that_is_refused_does_not_take_the_diagnosis_with_it(clinic: Path, here: Path):
    words = ["hearted", "--fix", str(clinic), "--store", str(clinic.parent / "store")]
    for more in ([], ["--json"]):
        result = CliRunner().invoke(command, [*words, *more], standalone_mode=False)
        assert isinstance(result.exception, UserError) and "is the recipe itself" in str(result.exception)
        assert "train_eval_gap" in result.stdout
    told = json.loads(result.stdout)
    assert told["fixed"] is None and told["diff"] is None and "is the recipe itself" in told["refused"]


def test_a_preset_says_which_run_is_meant(clinic: Path, here: Path):
    recipe = clinic.with_name("with_presets.yaml")
    recipe.write_text("presets: {longer: {hearted.steps: 170}, same: {hearted.steps: 160}}\n" + clinic.read_text())
    try:
        result = typed(clinic, str(recipe), "--step", "hearted", "--preset", "same")
        assert result.return_value == 1 and "train_eval_gap" in result.output
        with pytest.raises(UserError, match="holds nothing of the step hearted as"):
            typed(clinic, str(recipe), "--step", "hearted", "--preset", "longer")
        with pytest.raises(UserError, match="--preset changes a recipe: give RUN as a recipe, with --step"):
            typed(clinic, "hearted", "--preset", "same")
    finally:
        recipe.unlink()


def test_a_recipe_without_a_step_and_a_step_without_a_recipe_are_mistakes(clinic: Path):
    with pytest.raises(UserError, match="Say which of its steps is meant: --step STEP"):
        typed(clinic, str(clinic))
    with pytest.raises(UserError, match="There is no recipe"):
        typed(clinic, "student", "--step", "student")
    with pytest.raises(UserError, match="leave --recipe away"):
        typed(clinic, str(clinic), "--step", "student", "--recipe", str(clinic))
