from pathlib import Path

import pytest

from demiurgic.core.artifacts import Adapter, Dataset, Either, Model, Scores
from demiurgic.core.errors import RecipeError, UserError
from demiurgic.core.metric import Summary
from demiurgic.run.context import Context
from demiurgic.run.recipe import load_recipe
from demiurgic.run.stage import Reference, Stage, StageConfig
from demiurgic.run.yaml_lines import parse_value
from toys import STAGES, recipe


def steps_of(folder: Path, text: str, **more):
    return recipe(folder, f"steps:\n{text}", **more).steps


def test_references_are_read_by_type_and_literals_stay(tmp_path):
    steps = steps_of(tmp_path, "  a: {use: numbers, count: 2, note: a}\n  b: {use: shuffle, data: a}\n")
    assert steps["a"].config.note == "a"
    assert steps["b"].config.data == Reference("a", "rows")
    assert steps["b"].depends_on == ("a",)


class ReadingConfig(StageConfig):
    data: Either[Dataset | Scores]
    model: Either[Model | Adapter] | None = None


def reading(config: ReadingConfig, out: Path, context: Context) -> Summary:
    """Read something."""
    return Summary()


READING = {**STAGES, "reading": Stage("reading", ReadingConfig, reading, makes={"rows": Dataset})}
ABOVE = "steps:\n  a: {use: numbers, count: 2}\n  t: {use: total, data: a}\n"


def test_a_reference_to_either_of_two_kinds_knows_which_it_is(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"{ABOVE}  b: {{use: reading, data: t}}\n  c: {{use: reading, data: a}}\n")
    steps = load_recipe(path, READING).steps
    assert (steps["b"].config.data, steps["b"].config.data.kind) == (Reference("t", "scores"), Scores)
    assert steps["c"].config.data.kind is Dataset


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("t", "b.model: wants a model or adapter; t is a scores. No step above makes one."),
        ("7", "b.model: wants a model or adapter, found 7"),
        ("z", 'b.model: there is no step "z" above'),
    ],
)
def test_a_mistake_in_a_reference_to_either_of_two_kinds_names_both(tmp_path, model, says):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"{ABOVE}  b: {{use: reading, data: a, model: {model}}}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, READING)
    assert f"recipe.yaml:4: {says}" in str(caught.value)


def test_like_copies_and_changes(tmp_path):
    steps = steps_of(tmp_path, "  a: {use: numbers, count: 2, start: 5}\n  b: {like: a, count: 3}\n")
    assert (steps["b"].config.count, steps["b"].config.start) == (3, 5)


def test_null_takes_back_what_like_copied(tmp_path):
    steps = steps_of(tmp_path, "  a: {use: numbers, count: 2, word: hello}\n  b: {like: a, word: null}\n")
    assert steps["a"].config.word.name == "hello"
    assert steps["b"].config.word is None


def test_for_each_writes_out_every_combination(tmp_path):
    steps = steps_of(tmp_path, "  a: {use: numbers, count: 2, for_each: {start: [0, 10], count: [1, 2]}}\n")
    assert list(steps) == [f"a[start={s},count={c}]" for s in (0, 10) for c in (1, 2)]
    assert steps["a[start=10,count=1]"].config.start == 10


def test_for_each_reaches_inside_with_dots(tmp_path):
    steps = steps_of(tmp_path, "  a: {use: total, data: [], weights: {x: 1}, for_each: {weights.x: [0.5, 1.5]}}\n")
    assert [step.config.weights["x"] for step in steps.values()] == [0.5, 1.5]


def test_a_star_spreads_into_a_list(tmp_path):
    text = "  a: {use: numbers, count: 2, for_each: {start: [0, 10]}}\n  t: {use: total, data: 'a[*]'}\n"
    assert [str(r) for r in steps_of(tmp_path, text)["t"].config.data] == ["a[start=0].rows", "a[start=10].rows"]


def test_a_bare_name_inside_for_each_means_the_same_index(tmp_path):
    text = """\
  a: {use: numbers, count: 2, for_each: {seed: [1, 2]}}
  b: {use: shuffle, data: a, for_each: {seed: [1, 2]}}
"""
    steps = steps_of(tmp_path, text)
    assert steps["b[seed=2]"].config.data == Reference("a[seed=2]", "rows")
    assert steps["b[seed=2]"].seed == 2


def test_a_part_is_named_with_a_dot(tmp_path):
    text = "  a: {use: numbers, count: 9}\n  h: {use: halve, data: a, limit: 3}\n  b: {use: shuffle, data: h.low}\n"
    assert steps_of(tmp_path, text)["b"].config.data == Reference("h", "low")


def test_overrides_are_yaml_and_recorded(tmp_path):
    loaded = recipe(tmp_path, overrides=("some.count=12", "seed=9", "sum.weights.x=2.5"))
    assert loaded.steps["some"].config.count == 12
    assert (loaded.seed, loaded.steps["mixed"].seed) == (9, 9)
    assert loaded.steps["sum"].config.weights == {"x": 2.5}
    assert loaded.overrides == ("some.count=12", "seed=9", "sum.weights.x=2.5")


def test_scientific_notation_is_a_number(tmp_path):
    steps = steps_of(tmp_path, "  a: {use: total, data: [], threshold: 5e-6}\n")
    assert steps["a"].config.threshold == 5e-6
    assert parse_value("5e-6") == 5e-6


def test_up_to_keeps_what_a_step_needs(tmp_path):
    assert list(recipe(tmp_path).up_to("mixed").steps) == ["some", "mixed"]
    with pytest.raises(UserError, match='There is no step "mixt". Did you mean "mixed"'):
        recipe(tmp_path).up_to("mixt")


GOOD = "  a: {use: numbers, count: 2}\n  h: {use: halve, data: a, limit: 1}\n"


@pytest.mark.parametrize(
    ("line", "text", "says"),
    [
        (2, "  a: {use: numbrs, count: 2}", 'There is no stage "numbrs". Did you mean "numbers"?'),
        (2, "  a: {use: numbers, cuont: 2}", 'unknown option "cuont". Did you mean "count"?'),
        (2, "  a: {use: numbers}", "a.count: is missing"),
        (2, "  a: {use: numbers, count: many}", "valid integer, unable to parse string as an integer; found 'many'"),
        (2, "  a: {count: 2}", "a: wants use: STAGE"),
        (2, "  a: 5", "step a wants keys and values"),
        (2, "  a b: {use: numbers, count: 1}", "is not a step name"),
        (2, "  a: {use: numbers, count: 2, seed: x}", "a.seed: seed wants a whole number"),
        (2, "  a: {use: numbers, count: 1, word: helo}", 'Did you mean "hello"'),
        (
            2,
            "  a: {use: numbers, count: 1, gates: [{metric: rows}]}",
            "a gate wants at least one of min, max, above and below",
        ),
        (
            2,
            "  a: {use: numbers, count: 1, gates: [{metric: rows, mim: 1}]}",
            'unknown option "mim". Did you mean "min"?',
        ),
        (2, "  a: {use: total, data: [], threshold: .inf}", "finite number"),
        (2, "  a: {use: numbers, count: 1, gates: [{metric: rows, max: .nan}]}", "finite number"),
        (2, "  a: {use: numbers, count: 1, gates: false}", "valid list"),
        (2, "  a: {use: numbers, count: 1, requires: 5}", "wants a step or a list of steps, found 5"),
        (2, "  a: {use: shuffle, data: a}", '"a" is this step itself'),
        (2, "  a: {use: total, data: 'zzz[*]'}", 'there is no step "zzz" above'),
        (2, "  a: {use: total, data: [], for_each: {weights: [{x: 1}]}}", "takes numbers and words"),
        (2, "  a: {use: numbers, count: 1, for_each: 3}", "for_each wants {key: [value, ...]}"),
        (2, "  a: {use: numbers, count: 1, for_each: {seed: [1, 1]}}", "names a value twice"),
        (4, GOOD + "  b: {use: shuffle, data: c}", 'b.data: there is no step "c" above.'),
        (4, GOOD + "  b: {use: shuffle, data: c}\n  c: {like: a}", '"c" stands later in the recipe (line 5)'),
        (
            4,
            GOOD + "  b: {use: shuffle, data: h.lwo}",
            'step h has no part "lwo". Did you mean "low"? It makes: low, high',
        ),
        (4, GOOD + "  b: {use: shuffle, data: h}", "step h makes low, high: name one, such as h.low"),
        (4, GOOD + "  b: {use: total, data: [a, h.low, x]}", 'b.data.2: there is no step "x" above'),
        (4, GOOD + "  b: {use: shuffle, data: 7}", "wants a dataset, found 7"),
        (
            5,
            GOOD + "  t: {use: total, data: a}\n  b: {use: shuffle, data: t}",
            "wants a dataset; t is a scores. Steps above",
        ),
        (4, GOOD + "  b: {like: c}", 'b.like: There is no step "c"'),
        (4, GOOD + "  b: {like: c}\n  c: {like: a}", "b.like: c stands later; move it above b"),
        (4, GOOD + "  b: {use: numbers, count: 1, requires: [z]}", 'b.requires: there is no step "z" above'),
        (
            3,
            "  a: {use: numbers, count: 1, for_each: {seed: [1, 2]}}\n  b: {use: shuffle, data: a}",
            "written out by for_each",
        ),
        (
            3,
            "  a: {use: numbers, count: 1, for_each: {seed: [1, 2]}}\n  b: {use: shuffle, data: 'a[seed=3]'}",
            "there are a[seed=1]",
        ),
    ],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path, line, text, says):
    with pytest.raises(RecipeError) as caught:
        steps_of(tmp_path, text + "\n")
    assert f"recipe.yaml:{line}: " in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a recipe wants name, seed and steps"),
        ("steps: []", "a recipe wants name, seed and steps"),
        ("nmae: x\nsteps: {a: {use: numbers, count: 1}}", 'unknown key "nmae". Did you mean "name"?'),
        ("a: 2020-13-45", "not YAML"),
        (f"a: {'9' * 5000}", "not YAML"),
        ('a: "\\ud800"', "not YAML"),
        ("a: " + "[" * 3000, "not YAML"),
        ("seed: x\nsteps: {a: {use: numbers, count: 1}}", "seed wants a whole number, found 'x'"),
    ],
)
def test_the_top_level_is_checked(tmp_path, text, says):
    with pytest.raises(RecipeError, match=".*") as caught:
        recipe(tmp_path, text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("some.cuont=3", 'unknown option "cuont"'),
        ("som.count=3", 'There is no step "som". Did you mean "some"?'),
        ("count=3", "wants STEP.FIELD=VALUE"),
        ("some.count", "--set wants NAME=VALUE"),
        ("sum.data.7=x", 'there is no "7" to set'),
    ],
)
def test_an_override_that_does_not_fit_is_named(tmp_path, override, says):
    with pytest.raises(UserError) as caught:
        recipe(tmp_path, overrides=(override,))
    assert says in str(caught.value)


def test_a_missing_file_is_a_users_error(tmp_path):
    from demiurgic.run.recipe import load_recipe

    with pytest.raises(RecipeError, match="there is no such file"):
        load_recipe(tmp_path / "none.yaml", {})


def test_like_copies_for_each_too(tmp_path):
    steps = steps_of(tmp_path, "  a: {use: numbers, count: 2, for_each: {seed: [1, 2]}}\n  b: {like: a, count: 3}\n")
    assert list(steps) == ["a[seed=1]", "a[seed=2]", "b[seed=1]", "b[seed=2]"]


def test_an_override_reaches_into_what_like_copied(tmp_path):
    text = "  a: {use: total, data: [], weights: {x: 1, y: 2}}\n  b: {like: a}\n"
    steps = steps_of(tmp_path, text, overrides=("b.weights.x=5",))
    assert steps["b"].config.weights == {"x": 5, "y": 2}
    assert steps["a"].config.weights == {"x": 1, "y": 2}


def test_an_override_of_the_copied_step_is_inherited(tmp_path):
    steps = steps_of(tmp_path, "  a: {use: numbers, count: 2}\n  b: {like: a}\n", overrides=("a.count=7",))
    assert steps["b"].config.count == 7


def test_a_yaml_merge_key_is_read(tmp_path):
    text = "  a: &a {use: numbers, count: 2}\n  b: {<<: *a, start: 3}\n"
    assert steps_of(tmp_path, text)["b"].config.start == 3
