import pytest

from demiurgic.core.errors import RecipeError
from demiurgic.run.yaml_lines import parse_value, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [("5e-6", 5e-6), ("on", "on"), ("no", "no"), ("true", True), ("012", 12), ("1:30", "1:30"), ("~", None)],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


def test_every_place_knows_its_line():
    document = parse_yaml("name: x\nsteps:\n  a: {use: y,\n      b: [1,\n        2]}\n")
    assert document.value == {"name": "x", "steps": {"a": {"use": "y", "b": [1, 2]}}}
    assert document.lines["steps", "a"] == 3
    assert document.lines["steps", "a", "b"] == 4
    assert document.lines["steps", "a", "b", 1] == 5


@pytest.mark.parametrize(
    ("text", "line"), [("a: [1, 2\nb: 3\n", 2), ("a: 1\na: 2\n", 2), ("a: b: c\n", 1), ("a:\n\t- 1\n", 2)]
)
def test_what_is_not_yaml_is_refused_with_its_line(text, line):
    with pytest.raises(RecipeError, match="not YAML") as caught:
        parse_yaml(text, file="x.yaml")
    assert f"x.yaml:{line}:" in str(caught.value)


def test_plain_values_are_plain_python():
    document = parse_yaml("a: 1.5\nb: 'q'\nc: 0x10\nd: yes\n")
    assert [type(value) for value in document.value.values()] == [float, str, int, str]
