"""Files by path or pattern, and names for them that say nothing of the machine."""

import pytest

from demiurgic.collect.paths import find_files
from demiurgic.core.errors import UserError


@pytest.fixture
def base(tmp_path):
    for name in ("data/en/a.jsonl", "data/de/a.jsonl", "data/b.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return tmp_path


def test_a_file_named_alone_is_called_by_its_name(base):
    assert find_files(["data/b.jsonl"], base=base) == {"b.jsonl": base / "data/b.jsonl"}


def test_files_of_a_pattern_are_called_by_what_varies(base):
    assert list(find_files(["data/**/*.jsonl"], base=base)) == ["b.jsonl", "de/a.jsonl", "en/a.jsonl"]


def test_a_path_that_does_not_start_at_the_base_works_alike(base):
    assert list(find_files([str(base / "data" / "*" / "a.jsonl")], base=base / "data")) == ["de/a.jsonl", "en/a.jsonl"]


def test_a_file_that_two_patterns_name_is_read_once(base):
    assert list(find_files(["data/b.jsonl", "data/*.jsonl"], base=base)) == ["b.jsonl"]


def test_a_file_that_two_patterns_would_name_otherwise_is_read_once_by_the_first(base):
    (base / "deep" / "er").mkdir(parents=True)
    (base / "deep" / "er" / "x.jsonl").write_text("{}")
    assert [*find_files(["deep/er/*.jsonl", "deep/*/x.jsonl"], base=base)] == ["x.jsonl"]
    assert [*find_files(["deep/*/x.jsonl", "deep/er/*.jsonl"], base=base)] == ["er/x.jsonl"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(base):
    (base / "a[1].jsonl").write_text("{}")
    assert list(find_files(["a[1].jsonl"], base=base)) == ["a[1].jsonl"]


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        ([], "paths is empty"),
        (["data/c.jsonl"], "does not exist"),
        (["data/*.csv"], "No file matches"),
        (["data"], r'is a folder; wanted files. Write "data/\*.jsonl"'),
        (["data/en/a.jsonl", "data/de/a.jsonl"], "would both be called a.jsonl"),
    ],
)
def test_what_names_no_file_for_certain_is_one_paragraph(base, patterns, says):
    with pytest.raises(UserError, match=says):
        find_files(patterns, base=base)
