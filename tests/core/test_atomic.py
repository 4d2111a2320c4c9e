from pathlib import Path

import pytest

from demiurgic.core.files.atomic import new_folder, write_text


def test_a_text_is_replaced_whole(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_appears_only_when_its_block_ends_well(tmp_path: Path):
    with pytest.raises(RuntimeError), new_folder(tmp_path / "a") as folder:
        (folder / "half.txt").write_text("half")
        raise RuntimeError
    assert not (tmp_path / "a").exists()
    with new_folder(tmp_path / "a") as folder:
        (folder / "whole.txt").write_text("whole")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["whole.txt"]
