from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from demiurgic.core.errors import UserError
from demiurgic.core.registry import Choice, Registry
from toys import WORDS


class Wanting(BaseModel):
    word: Annotated[Choice, WORDS]


def test_things_are_found_in_their_folder():
    assert list(WORDS.entries()) == ["hello"]
    assert WORDS.get("hello").line == "Say hello."


def test_a_name_alone_takes_the_defaults():
    assert Wanting.model_validate({"word": "hello"}).word() == "hello "


def test_options_are_typed_and_bound():
    choice = Wanting.model_validate({"word": {"use": "hello", "times": 2}}).word
    assert choice() == "hello hello "
    assert choice.to_json() == {"use": "hello", "version": 1, "times": 2}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("helo", 'Did you mean "hello"'),
        ({"use": "hello", "time": 2}, 'no option "time". Did you mean "times"'),
        ({"use": "hello", "times": "many"}, "hello.times: Input should be a valid integer"),
        (7, "wants {use: NAME"),
    ],
)
def test_what_does_not_fit_is_named(value, says):
    with pytest.raises(ValidationError, match=".*") as caught:
        Wanting.model_validate({"word": value})
    assert says in str(caught.value)


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(UserError, match=r'There is no word "bye".*Known: hello'):
        WORDS.get("bye")


def test_a_name_is_registered_once():
    registry = Registry("things", package="json")
    registry.register("a")(lambda: None)

    def other() -> None:
        """Another one."""

    with pytest.raises(ValueError, match="registered twice"):
        registry.register("a")(other)


class Shared(BaseModel):
    weight: float = 1.0


def test_shared_options_stand_beside_a_things_own():
    registry = Registry("weighted", package="json", shared=Shared)

    @registry.register("thing")
    def thing(*, size: int = 3) -> int:
        return size

    choice = registry.choose({"use": "thing", "weight": 0.5, "size": 4})
    assert (choice.shared.weight, choice()) == (0.5, 4)
    assert choice.to_json() == {"use": "thing", "version": 1, "weight": 0.5, "size": 4}
