"""Values of a recipe that belong together, chosen by one name."""

import pytest

from demiurgic.core.errors import RecipeError, UserError
from demiurgic.run.store import Store
from toys import recipe, statuses, walk

TEXT = """\
name: sum
seed: 7
presets:
  few: {some.count: 6, parts.limit: 2}
  heavy:
    sum.weights.x: 2.5
    seed: 9
steps:
  some:  {use: numbers, count: 10}
  mixed: {use: shuffle, data: some}
  parts: {use: halve, data: mixed, limit: 4}
  sum:   {use: total, data: [parts.high], weights: {x: 1}}
"""


def test_a_preset_sets_what_it_names_and_nothing_else(tmp_path):
    steps = recipe(tmp_path, TEXT, preset="few").steps
    assert (steps["some"].config.count, steps["parts"].config.limit) == (6, 2)
    assert steps["sum"].config.weights == {"x": 1}


def test_without_one_the_recipe_is_as_it_stands(tmp_path):
    steps = recipe(tmp_path, TEXT).steps
    assert (steps["some"].config.count, steps["parts"].config.limit) == (10, 4)


def test_a_preset_reaches_inside_and_sets_the_seed(tmp_path):
    loaded = recipe(tmp_path, TEXT, preset="heavy")
    assert loaded.steps["sum"].config.weights == {"x": 2.5}
    assert (loaded.seed, loaded.steps["mixed"].seed) == (9, 9)


def test_set_comes_after_the_preset(tmp_path):
    steps = recipe(tmp_path, TEXT, preset="few", overrides=("some.count=8",)).steps
    assert (steps["some"].config.count, steps["parts"].config.limit) == (8, 2)


def test_a_step_like_another_inherits_what_the_preset_set_there(tmp_path):
    steps = recipe(tmp_path, f"{TEXT}  again: {{like: some, start: 1}}\n", preset="few").steps
    assert (steps["again"].config.count, steps["again"].config.start) == (6, 1)


def test_the_recipe_says_what_was_changed_as_set_would(tmp_path):
    loaded = recipe(tmp_path, TEXT, preset="few", overrides=("some.count=8",))
    assert loaded.preset == "few"
    assert loaded.overrides == ("some.count=6", "parts.limit=2", "some.count=8")
    again = recipe(tmp_path, TEXT, overrides=loaded.overrides)
    assert {name: step.config for name, step in again.steps.items()} == {
        name: step.config for name, step in loaded.steps.items()
    }


def test_the_ledger_names_the_preset_and_what_it_set(tmp_path):
    walk(tmp_path, TEXT, preset="few", overrides=("some.start=1",))
    lines = [line for line in Store(tmp_path / "store").ledger.lines() if line["event"] == "made"]
    assert {line["preset"] for line in lines} == {"few"}
    assert lines[0]["overrides"] == ["some.count=6", "parts.limit=2", "some.start=1"]


def test_a_preset_remakes_only_what_it_changes(tmp_path):
    walk(tmp_path, TEXT)
    assert statuses(walk(tmp_path, TEXT, preset="heavy", overrides=("seed=7",))) == {
        "some": "reused", "mixed": "reused", "parts": "reused", "sum": "made",
    }  # fmt: skip


def test_an_unknown_preset_names_the_ones_there_are(tmp_path):
    with pytest.raises(RecipeError, match=r'There is no preset "fwe". Did you mean "few"\? Known: few, heavy'):
        recipe(tmp_path, TEXT, preset="fwe")


def test_a_recipe_without_presets_says_so(tmp_path):
    with pytest.raises(RecipeError, match='There is no preset "few". Known: none'):
        recipe(tmp_path, preset="few")


def with_preset(entry: str) -> str:
    return TEXT.replace("seed: 9\n", f"{entry}\n")


BROKEN = [
    ("smoe.count: 3", 'preset heavy: smoe.count: There is no step "smoe". Did you mean "some"?'),
    ("some.cuont: 3", 'preset heavy: some.cuont: unknown option "cuont". Did you mean "count"?'),
    ("some.count: many", "preset heavy: some.count: Input should be a valid integer"),
    ("some.count.deep: 1", 'preset heavy: some.count.deep: there is no "deep" to set'),
    ("count: 3", "preset heavy: count: wants STEP.FIELD=VALUE"),
    ("mixed.like: some", "preset heavy: mixed.like: `like` is filled in before presets and --set"),
    ("seed: many", "preset heavy: seed: wants a whole number, found 'many'"),
    ("seed: null", "preset heavy: seed: wants a whole number, found None"),
    ("mixed.seed: many", "preset heavy: mixed.seed: seed wants a whole number, found 'many'"),
    ("some.word: helo", 'Did you mean "hello"'),
]


@pytest.mark.parametrize("chosen", [None, "few", "heavy"])
@pytest.mark.parametrize(("entry", "says"), BROKEN)
def test_what_does_not_fit_is_found_with_its_line_whichever_is_chosen(tmp_path, entry, says, chosen):
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, with_preset(entry), preset=chosen)
    assert says in str(caught.value)
    assert "preset heavy: " in str(caught.value)
    assert caught.value.line == 7


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("seed=many", "--set seed=many: wants a whole number, found 'many'"),
        ("mixed.like=some", "--set mixed.like=some: `like` is filled in before .* Set what it copies instead"),
    ],
)
def test_set_is_answered_for_by_the_command_line_and_not_by_a_line_of_the_file(tmp_path, override, says):
    with pytest.raises(UserError, match=says) as caught:
        recipe(tmp_path, TEXT, overrides=(override,))
    assert not isinstance(caught.value, RecipeError)


def test_values_that_do_not_go_together_are_found(tmp_path):
    text = with_preset("mixed.data: parts")
    with pytest.raises(RecipeError, match=r"recipe.yaml:7: preset heavy: mixed.data: .*stands later"):
        recipe(tmp_path, text)


def test_a_recipe_that_only_set_mends_can_have_presets(tmp_path):
    text = TEXT.replace("{use: numbers, count: 10}", "{use: numbers}")
    with pytest.raises(RecipeError, match="recipe.yaml:9: some.count: is missing"):
        recipe(tmp_path, text)
    assert recipe(tmp_path, text, overrides=("some.count=3",)).steps["some"].config.count == 3


def test_a_preset_that_is_not_chosen_is_not_held_against_set(tmp_path):
    text = TEXT.replace("seed: 9\n", "sum.weights.y: 1\n")
    with pytest.raises(RecipeError, match="sum.weights: Input should be a valid dictionary"):
        recipe(tmp_path, text, overrides=("sum.weights=5",))
    assert recipe(tmp_path, text, overrides=("sum.weights={}",)).steps["sum"].config.weights == {}


@pytest.mark.parametrize("written", ["presets: [few]", "presets: {few: 3}", "presets: few"])
def test_a_preset_is_a_mapping_of_paths(tmp_path, written):
    head, steps = TEXT.partition("presets:")[0], TEXT.partition("steps:")[2]
    with pytest.raises(RecipeError, match=r"recipe.yaml:3: presets wants \{NAME: \{STEP.FIELD: VALUE, ...\}\}"):
        recipe(tmp_path, f"{head}{written}\nsteps:{steps}")
