"""What a name means: a step of the store, a folder, or a file."""

import shutil
from pathlib import Path

import pytest

from demiurgic.api import find_model
from demiurgic.core.errors import UserError
from demiurgic.run.lineage import revoke
from demiurgic.run.store import Store
from tiny_models import tiny_model
from written_store import WrittenStore


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose store holds the step `student`, with one part: a model."""
    monkeypatch.chdir(tmp_path)
    written = WrittenStore(tmp_path / "store")
    written.start("student")
    written.made("student", "train", parts={"model": "model"})
    return tmp_path


def test_a_step_is_found_by_name_by_part_and_by_folder(place: Path):
    folder = Store(place / "store").named("student")
    names = ("student", "student.model", str(folder), str(folder / "model"))
    assert {find_model(name).path.resolve() for name in names} == {folder / "model"}


def test_a_folder_that_is_no_model_does_not_hide_the_step_of_its_name(place: Path):
    (place / "student").mkdir()
    assert find_model("student").artifact is not None


def test_a_folder_with_a_model_comes_before_a_step_of_its_name(place: Path):
    tiny_model(place / "student")
    found = find_model("student")
    assert (found.path, found.artifact) == (Path("student"), None)


@pytest.mark.parametrize("name", ["./my-modle", "/tmp/nowhere/foo.gguf", "nowhere/model", "student/"])
def test_a_path_to_nothing_is_said_not_to_exist(place: Path, name: str):
    with pytest.raises(UserError, match=f"^{Path(name)} does not exist"):
        find_model(name)


def test_a_file_that_is_not_there_is_no_step_either(place: Path):
    with pytest.raises(UserError, match=r'^foo.gguf does not exist.*no finished step "foo"'):
        find_model("foo.gguf")


@pytest.mark.parametrize("name", [".", "./empty", "empty/"])
def test_a_path_to_a_folder_that_is_no_model_says_what_is_missing(place: Path, name: str):
    (place / "empty").mkdir()
    with pytest.raises(UserError, match=r"is no model: it has no config.json"):
        find_model(name)


@pytest.mark.parametrize("part", ["", "model"])
def test_a_revoked_step_is_refused_by_its_folder_too_whatever_store_is_named(place: Path, part: str):
    store = Store(place / "store")
    revoke(store, "student", why="trained on the wrong rows")
    with pytest.raises(UserError, match="trained on the wrong rows"):
        find_model(str(store.named("student") / part), store=place / "another")


def test_a_copy_of_a_revoked_step_is_refused_where_the_store_is_named(place: Path):
    store = Store(place / "store")
    revoke(store, "student", why="trained on the wrong rows")
    copy = shutil.copytree(store.named("student"), place / "elsewhere" / "copy")
    with pytest.raises(UserError, match="trained on the wrong rows"):
        find_model(str(copy), store=place / "store")


def test_a_step_that_missed_its_gates_is_found_and_said_to_be_rejected(place: Path):
    written = WrittenStore(place / "store", run="run2")
    written.start("poor")
    gates = [{"metric": "loss", "max": 1}]
    key = written.made("poor", "train", metrics={"loss": 2}, parts={"model": "model"}, gates=gates)
    assert find_model("student").rejected is None
    assert find_model("poor").rejected == "loss = 2 [2, 2], wanted interval <= 1: missed"
    again = WrittenStore(place / "store", run="run3")
    again.start("poor")
    again.event("reused", "poor", "train", key)
    assert find_model("poor").rejected is None
