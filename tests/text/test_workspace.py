"""Arrays stay in memory up to the limit, and lie in files beyond it."""

from pathlib import Path

import numpy as np
import pytest

from demiurgic.core.errors import UserError
from demiurgic.text.workspace import SMALLEST_FILE_BYTES, Workspace


def test_beyond_the_limit_an_array_is_a_file_and_goes_with_the_workspace(tmp_path: Path):
    with Workspace(tmp_path, memory_bytes=1 << 20) as workspace:
        first = workspace.array("first", 1 << 20, np.uint8)
        second = workspace.array("second", (2, 1 << 15), np.int64)
        second[1] = 7
        assert (workspace.in_memory_bytes, workspace.on_disk_bytes) == (1 << 20, 1 << 19)
        assert [path.stat().st_size for path in tmp_path.iterdir()] == [1 << 19]
        workspace.release(first)
        assert workspace.in_memory_bytes == 0
        assert second[1].sum() == 7 << 15
    assert not list(tmp_path.iterdir())


def test_what_grows_keeps_what_it_holds_and_adds_zeros(tmp_path: Path):
    for limit in (0, 1 << 30):
        with Workspace(tmp_path, memory_bytes=limit) as workspace:
            array = workspace.array("growing", SMALLEST_FILE_BYTES, np.uint8)
            array[:] = 3
            array = workspace.grown(array, SMALLEST_FILE_BYTES + 1, name="growing")
            assert len(array) > SMALLEST_FILE_BYTES
            assert array.sum() == 3 * SMALLEST_FILE_BYTES
            assert workspace.grown(array, 5, name="growing") is array
        assert not list(tmp_path.iterdir())


def test_a_small_array_is_never_a_file(tmp_path: Path):
    with Workspace(tmp_path, memory_bytes=0) as workspace:
        workspace.array("small", 100, np.uint8)
        assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path: Path):
    with Workspace(tmp_path, memory_bytes=0) as workspace, pytest.raises(UserError, match="has no room for"):
        workspace.array("vast", 1 << 55, np.uint8)
