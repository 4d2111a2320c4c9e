"""A row that is not what was written, or not for this text, is never used."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from caches import cached, capture, some_windows, start_and_teacher, windows_of
from demiurgic.core.errors import UserError
from demiurgic.core.records import Row
from demiurgic.models.windows import Windows
from demiurgic.train.cache.layout import index_dtype
from tiny_models import LINES
from tiny_training import tiny_tokens

KEEPS = {
    "hidden": {"use": "hidden"},
    "top_k": {"use": "top_k", "k": 4},
    "samples": {"use": "samples", "draws": 20},
}
FILES = {
    "hidden": ("hidden.bin", "head.safetensors"),
    "top_k": ("ids.bin", "log_probs.bin", "log_tail.bin"),
    "samples": ("words.bin", "distinct.bin", "entropy.bin"),
}
EVERY_FILE = [(form, name) for form, own in FILES.items() for name in ("cache.json", "windows.bin", *own)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = start_and_teacher(tmp_path_factory.mktemp("damage"))
    for form, keep in KEEPS.items():
        capture(folder, form, keep)
    return folder


@pytest.fixture
def copies(folder: Path, tmp_path: Path) -> Iterator[Path]:
    """The three parts, to be damaged."""
    for form in KEEPS:
        shutil.copytree(folder / form / form, tmp_path / form)
    yield tmp_path


def read_all(part: Path, windows: Windows) -> None:
    batch = some_windows(windows)
    cached(part, windows).read(batch, batch.supervised())


def test_an_undamaged_cache_is_read(folder: Path, copies: Path):
    for form in KEEPS:
        read_all(copies / form, windows_of(folder))


def test_every_file_is_among_those_that_are_damaged_here(folder: Path):
    for form, own in FILES.items():
        assert {path.name for path in (folder / form / form).iterdir()} == {"cache.json", "windows.bin", *own}


@pytest.mark.parametrize(("form", "name"), EVERY_FILE)
@pytest.mark.parametrize("place", [0.0, 0.37, 0.999])
def test_one_flipped_byte_is_found(folder: Path, copies: Path, form: str, name: str, place: float):
    path = copies / form / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        read_all(copies / form, windows_of(folder))


@pytest.mark.parametrize(("form", "name"), EVERY_FILE)
def test_a_truncated_file_is_found(folder: Path, copies: Path, form: str, name: str):
    path = copies / form / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="damaged"):
        read_all(copies / form, windows_of(folder))


@pytest.mark.parametrize(("form", "name"), EVERY_FILE)
def test_a_missing_file_is_found(folder: Path, copies: Path, form: str, name: str):
    (copies / form / name).unlink()
    with pytest.raises(UserError, match="is missing|it has no cache.json"):
        read_all(copies / form, windows_of(folder))


def test_swapped_rows_of_two_windows_are_found(folder: Path, copies: Path):
    windows = windows_of(folder)
    first, second = (range(*span) for span in two_alike(folder, copies / "top_k"))
    for name in FILES["top_k"]:
        path = copies / "top_k" / name
        rows = np.fromfile(path, np.uint8).reshape(windows.counts.supervised, -1)
        rows[[*first, *second]] = rows[[*second, *first]]
        rows.tofile(path)
    with pytest.raises(UserError, match="does not hold what was written for window"):
        read_all(copies / "top_k", windows)


def two_alike(folder: Path, part: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """The spans of two windows that have equally many supervised tokens."""
    ends = np.fromfile(part / "windows.bin", index_dtype())["tokens"]
    spans = list(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True))
    lengths = [end - start for start, end in spans]
    length = next(length for length in lengths if lengths.count(length) > 1)
    alike = [span for span in spans if span[1] - span[0] == length]
    return alike[0], alike[-1]


def test_rows_are_refused_where_the_tokens_are_others_of_the_same_shape(folder: Path, copies: Path, tmp_path: Path):
    rows = [Row(id=f"line:{number}", text=line) for number, line in enumerate(LINES[::-1])]
    other = Windows.open(tiny_tokens(tmp_path / "other", folder / "start" / "model", rows=rows))
    assert other.ids_NT.shape == windows_of(folder).ids_NT.shape
    with pytest.raises(UserError, match="was not made for window 0 of .*other"):
        read_all(copies / "samples", other)


@pytest.mark.parametrize("name", ["ids", "weights", "documents"])
def test_a_window_whose_text_changed_is_refused(folder: Path, copies: Path, tmp_path: Path, name: str):
    shutil.copytree(folder / "rows" / "tokens", tmp_path / "tokens")
    array = np.load(tmp_path / "tokens" / f"{name}.npy")
    array[1, 3] += 1
    np.save(tmp_path / "tokens" / f"{name}.npy", array)
    with pytest.raises(UserError, match="was not made for window 1"):
        read_all(copies / "hidden", Windows.open(tmp_path / "tokens"))


def test_a_batch_that_holds_other_text_than_its_windows_is_refused(folder: Path):
    windows = windows_of(folder)
    batch = some_windows(windows, 0, 1)
    batch.ids_BT[1, 2] += 1
    with pytest.raises(UserError, match="calls itself window 1 .* and holds other text"):
        cached(folder / "top_k" / "top_k", windows).read(batch, batch.supervised())
