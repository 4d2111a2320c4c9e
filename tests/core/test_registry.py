import sys
from types import ModuleType
from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from demiurgic.core.artifacts import Adapter, Dataset, Either, Model, Scores
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


def test_the_place_of_a_mistake_is_the_options_own_name():
    words = Registry("words", package="json")

    @words.register("reads")
    def reads(*, data: Dataset | Scores | None = None, model: Either[Model | Adapter] | None = None) -> None:
        """Read something."""

    with pytest.raises(PydanticCustomError, match="^reads.data: wants a dataset, found 7$"):
        words.choose({"use": "reads", "data": 7})
    with pytest.raises(PydanticCustomError, match="^reads.model: wants a model or adapter, found 7$"):
        words.choose({"use": "reads", "model": 7})


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


def test_a_function_of_the_same_name_in_another_module_is_refused():
    registry = Registry("things", package="json")

    def thing() -> None:
        """Ours."""

    ours = registry.register("thing")(thing)

    def thing() -> None:
        """Theirs."""

    thing.__module__ = "elsewhere"
    assert thing.__qualname__ == ours.__qualname__
    with pytest.raises(ValueError, match="things: 'thing' is registered twice, by .* and by elsewhere"):
        registry.register("thing")(thing)


def test_a_module_imported_again_registers_its_function_again():
    registry = Registry("things", package="json")

    def thing() -> None:
        """The same."""

    registry.register("thing")(thing)
    registry.register("thing")(thing)
    assert registry.get("thing").make is thing


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder of plug-ins that fail to be imported as long as `broken` is there."""
    folder = tmp_path / "plugin_words"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == folder.name]:
        del sys.modules[name]


def test_a_failed_import_is_tried_again_and_never_leaves_half_a_registry(package):
    broken = package / "broken.py"
    broken.write_text("raise ImportError('torch is missing')")
    registry = Registry("words", package=package.name)
    for _ in range(2):
        with pytest.raises(ImportError, match="torch is missing"):
            registry.entries()
    broken.unlink()
    assert registry.entries() == {}


def test_a_module_may_look_into_the_registry_while_it_is_imported(package, monkeypatch):
    registry = Registry("words", package=package.name)
    holder = ModuleType("holder")
    holder.REGISTRY = registry
    monkeypatch.setitem(sys.modules, "holder", holder)
    (package / "early.py").write_text("from holder import REGISTRY\nREGISTRY.register('a')(lambda: 1)\n")
    (package / "late.py").write_text("from holder import REGISTRY\nassert REGISTRY.get('a').make() == 1\n")
    assert list(registry.entries()) == ["a"]


def test_one_of_a_sort_is_called_by_its_singular():
    with pytest.raises(UserError, match='There is no loss "mse"'):
        Registry("losses", singular="loss", package="json").get("mse")
