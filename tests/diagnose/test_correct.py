"""A corrected recipe is the recipe, character by character, but for the values that were to change."""

from pathlib import Path

import pytest

from demiurgic.api import load_recipe
from demiurgic.core.errors import UserError
from demiurgic.diagnose.correct import Correction, corrected_config, corrected_recipe, write_correction
from demiurgic.diagnose.finding import Change
from demiurgic.diagnose.yaml_edit import flow, set_value
from demiurgic.run.yaml_lines import parse_yaml
from demiurgic.stages import STAGES
from taught import write_recipe


def corrected(recipe: Path, step: str, *changes: Change) -> Correction:
    return corrected_recipe(load_recipe(recipe), step, changes)


def changed_lines(correction: Correction) -> list[str]:
    return [line for line in correction.diff.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]


def test_a_value_changes_and_comments_order_and_spaces_stay(tmp_path: Path):
    recipe = write_recipe(tmp_path)
    correction = corrected(recipe, "student", Change(("losses", 0, "weight"), 0.25))
    assert correction.text == recipe.read_text().replace("weight: 0.6", "weight: 0.25")
    assert "# both of one size" in correction.text


def test_a_key_that_is_missing_is_added_and_a_loss_that_is_a_word_becomes_a_mapping(tmp_path: Path):
    recipe = write_recipe(tmp_path)
    correction = corrected(recipe, "student", Change(("patience",), 3), Change(("losses", 1, "weight"), 0.5))
    assert (
        "{use: cross_entropy, weight: 0.5}]" in correction.text
        and "evaluate_every: 20, patience: 3}" in correction.text
    )
    assert parse_yaml(correction.text).value["steps"]["student"]["patience"] == 3


def test_a_step_that_is_like_another_gets_a_value_of_its_own(tmp_path: Path):
    recipe = write_recipe(tmp_path, "  other: {like: student, steps: 50}\n")
    correction = corrected(recipe, "other", Change(("losses", 0, "weight"), 0.25), Change(("learning_rate",), 5e-3))
    steps = parse_yaml(correction.text).value["steps"]
    assert steps["other"]["losses"] == [{"use": "forward_kl", "weight": 0.25}, "cross_entropy"]
    assert steps["other"]["learning_rate"] == 5e-3
    assert steps["student"] == parse_yaml(recipe.read_text()).value["steps"]["student"]


def test_a_recipe_in_block_style_takes_values_and_keys(tmp_path: Path):
    more = """
  other:   # in lines
    like: student
    losses:
      - use: forward_kl
        weight: 0.9     # most of it
      - cross_entropy
    # below

  last: {like: other}
"""
    recipe = write_recipe(tmp_path, more)
    changes = [Change(("losses", 0, "weight"), 0.1), Change(("patience",), 3), Change(("losses", 1, "weight"), 2.0)]
    correction = corrected(recipe, "other", *changes)
    assert changed_lines(correction) == [
        "+    patience: 3",
        "-        weight: 0.9     # most of it",
        "-      - cross_entropy",
        "+        weight: 0.1     # most of it",
        "+      - {use: cross_entropy, weight: 2.0}",
    ]
    assert correction.by_hand == []


def test_what_for_each_varies_is_left_to_be_changed_by_hand(tmp_path: Path):
    recipe = write_recipe(tmp_path, "  many: {like: student, for_each: {learning_rate: [1.0e-3, 1.0e-2]}}\n")
    correction = corrected(recipe, "many[learning_rate=0.01]", Change(("learning_rate",), 5e-3))
    assert correction.diff == "" and correction.by_hand == ["many[learning_rate=0.01].learning_rate: 0.005"]


def test_what_an_alias_gives_is_not_changed_where_it_would_change_another_step(tmp_path: Path):
    more = "  one: &one {like: student, steps: 40}\n  two: *one\n"
    recipe = write_recipe(tmp_path, more)
    correction = corrected(recipe, "two", Change(("steps",), 20))
    assert correction.diff == "" and correction.by_hand == ["two.steps: 20"]


def test_a_change_of_another_step_goes_there(tmp_path: Path):
    recipe = write_recipe(tmp_path)
    correction = corrected(recipe, "student", Change(("steps",), 240, step="teacher"))
    assert parse_yaml(correction.text).value["steps"]["teacher"]["steps"] == 240


def test_a_corrected_recipe_that_does_not_read_is_not_written(tmp_path: Path):
    recipe = write_recipe(tmp_path)
    correction = corrected(recipe, "student", Change(("warmup_steps",), 500))
    with pytest.raises(UserError, match="cannot be read, so it was not written"):
        write_correction(correction, load_recipe(recipe), tmp_path / "better.yaml", stages=STAGES)
    assert not (tmp_path / "better.yaml").exists()


def test_neither_the_recipe_nor_a_file_of_somebody_else_is_written_over(tmp_path: Path):
    recipe = write_recipe(tmp_path)
    correction = corrected(recipe, "student", Change(("steps",), 60))
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    for out, words in ((recipe, "is the recipe itself"), (tmp_path / "mine.yaml", "did not write it")):
        before = out.read_text()
        with pytest.raises(UserError, match=words):
            write_correction(correction, load_recipe(recipe), out, stages=STAGES)
        assert out.read_text() == before
    for _ in range(2):  # its own it may
        write_correction(correction, load_recipe(recipe), tmp_path / "better.yaml", stages=STAGES)
    assert load_recipe(tmp_path / "better.yaml").steps["student"].config.steps == 60  # type: ignore[attr-defined]


def test_a_config_without_a_recipe_is_corrected_as_values():
    config = {"steps": 40, "losses": [{"use": "forward_kl", "weight": 1.0}]}
    correction = corrected_config("student", config, [Change(("losses", 0, "weight"), 0.5)])
    assert changed_lines(correction) == [
        "-losses: [{use: forward_kl, weight: 1.0}]",
        "+losses: [{use: forward_kl, weight: 0.5}]",
    ]


@pytest.mark.parametrize(
    "value", [None, True, 3, 0.5, 1.0, 5e-6, 1e30, "dequantized", "no", "1e3", "a: b", {"a": [1, "x"]}, [], {}]
)
def test_a_value_reads_as_it_was_written(value: object):
    edited = set_value("{place: 1, rest: 2}  # kept\n", ("place",), value)  # type: ignore[arg-type]
    assert edited is not None and edited.endswith("# kept\n")
    assert parse_yaml(edited).value == {"place": value, "rest": 2}
    assert parse_yaml(f"value: {flow(value)}").value == {"value": value}  # type: ignore[arg-type]


def test_a_value_from_the_command_line_that_would_stand_over_the_change_is_named(tmp_path: Path):
    recipe = load_recipe(write_recipe(tmp_path), overrides=["student.steps=50", "student.batch=4"])
    correction = corrected_recipe(recipe, "student", [Change(("steps",), 240)])
    assert correction.by_hand == ["leave away --set student.steps=50, which would stand over the change"]


THREE = "student.losses=[forward_kl, cross_entropy, reverse_kl]"
ON_POLICY = "student.on_policy={share: 0.5, max_new_tokens: 64}"


@pytest.mark.parametrize(
    ("setting", "change"),
    [
        (THREE, Change(("losses", 2, "weight"), 0.5)),
        (THREE, Change(("losses", 0, "weight"), 0.5)),
        (ON_POLICY, Change(("on_policy", "max_new_tokens"), 128)),
    ],
)
def test_a_value_inside_of_what_the_command_line_gave_is_changed_by_hand(tmp_path: Path, setting: str, change: Change):
    recipe = load_recipe(write_recipe(tmp_path), overrides=[setting])
    correction = corrected_recipe(recipe, "student", [change])
    assert correction.diff == ""
    assert correction.by_hand == [f"student.{change.place}: {flow(change.value)}, in --set {setting}"]


def test_a_value_inherited_from_a_step_that_the_command_line_changed_is_changed_by_hand(tmp_path: Path):
    path = write_recipe(tmp_path, "  other: {like: student, steps: 50}\n")
    recipe = load_recipe(path, overrides=["student.losses.0.weight=0.3"])
    change = Change(("losses", 1, "weight"), 0.5)
    correction = corrected_recipe(recipe, "other", [change])
    assert correction.diff == ""
    assert correction.by_hand == ["other.losses.1.weight: 0.5, in --set student.losses.0.weight=0.3"]
    assert corrected_recipe(recipe, "student", [change]).by_hand == []


def test_a_value_of_a_preset_that_would_stand_over_the_change_is_named_with_the_preset(tmp_path: Path):
    path = write_recipe(tmp_path)
    presets = "presets: {short: {student.steps: 50, student.on_policy: {share: 0.5, max_new_tokens: 64}}}\n"
    path.write_text(presets + path.read_text())
    recipe = load_recipe(path, preset="short", overrides=["student.batch=4"])
    changes = [Change(("steps",), 240), Change(("on_policy", "max_new_tokens"), 128), Change(("batch",), 16)]
    correction = corrected_recipe(recipe, "student", changes)
    assert correction.by_hand == [
        "change student.steps in the preset short, which would stand over the change",
        "student.on_policy.max_new_tokens: 128, in the preset short "
        '(student.on_policy={"share": 0.5, "max_new_tokens": 64})',
        "leave away --set student.batch=4, which would stand over the change",
    ]
    assert parse_yaml(correction.text).value["steps"]["student"]["steps"] == 240


def test_what_is_inherited_from_a_for_each_is_left_to_be_changed_by_hand(tmp_path: Path):
    more = "  many: {like: student, for_each: {learning_rate: [1.0e-3, 1.0e-2]}}\n  more: {like: many, steps: 50}\n"
    correction = corrected(write_recipe(tmp_path, more), "more[learning_rate=0.01]", Change(("learning_rate",), 5e-3))
    assert correction.diff == "" and correction.by_hand == ["more[learning_rate=0.01].learning_rate: 0.005"]


def test_an_earlier_correction_stands_when_a_later_one_does_not_read(tmp_path: Path):
    path, out = write_recipe(tmp_path), tmp_path / "better.yaml"
    recipe = load_recipe(path)
    write_correction(corrected(path, "student", Change(("steps",), 60)), recipe, out, stages=STAGES)
    before = out.read_text()
    with pytest.raises(UserError, match=r"was not written: .*better.yaml:\d+: student"):
        write_correction(corrected(path, "student", Change(("warmup_steps",), 500)), recipe, out, stages=STAGES)
    assert out.read_text() == before
    assert [file.name for file in tmp_path.glob("better*")] == ["better.yaml"]
