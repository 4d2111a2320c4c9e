"""The source `code_tree`: a folder of code as rows, with its licence."""

import errno
import os
from pathlib import Path

import pytest

from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.core.errors import UserError

FUNCTION = '''\
def mean(values):
    """The arithmetic mean of some numbers."""
    total = sum(values)
    return total / len(values)
'''


@pytest.fixture
def tree(tmp_path):
    for name, text in {
        "app/mean.py": FUNCTION,
        "app/__init__.py": "",
        "app/page.js": "let x = 1;\r\n",
        "app/notes.txt": "not code",
        "node_modules/other.js": "let y = 2;",
        ".git/hook.py": "x = 1",
        "build/made.py": "x = 1",
        "tests/test_mean.py": "assert True\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return tmp_path


def read(base, **options):
    return list(SOURCES.choose({"use": "code_tree", "path": ".", "license": "MIT", **options})(base))


def test_every_code_file_of_the_authors_is_a_row_of_text(tree):
    rows = read(tree)
    assert [row.id for row in rows] == [
        "code_tree:app/mean.py",
        "code_tree:app/page.js",
        "code_tree:tests/test_mean.py",
    ]
    assert [row.text for row in rows] == [FUNCTION, "let x = 1;\n", "assert True\n"]
    assert {(row.license, row.domain, row.source) for row in rows} == {("MIT", "code", "code_tree")}


def test_name_suffixes_and_exclude_choose_what_is_read(tree):
    rows = read(tree, name="mine", suffixes=[".py"], exclude=["tests", ".*"])
    assert [row.id for row in rows] == ["mine:app/mean.py", "mine:build/made.py"]


def test_python_files_can_be_split_into_questions_about_their_functions(tree):
    rows = read(tree, split="functions")
    kinds = {row.id: row.facts["kind"] for row in rows}
    assert kinds == {
        "code_tree:app/mean.py:1:write": "write",
        "code_tree:app/mean.py:1:complete": "complete",
        "code_tree:app/mean.py:1:explain": "explain",
        "code_tree:app/page.js": "file",
    }


def test_the_licence_is_read_from_the_folder(tree):
    (tree / "LICENSE").write_text(
        "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"
    )
    assert {row.license for row in read(tree, license=None)} == {"MIT"}


def test_a_folder_that_does_not_say_its_licence_is_asked_for_it(tree):
    with pytest.raises(UserError, match="license: MIT"):
        read(tree, license=None)


@pytest.mark.parametrize(
    ("content", "position", "reason"),
    [
        (b"x = 1\ny = '\xff'\n", 2, "not UTF-8"),
        (b"x = '\0'\n", 1, "holds null bytes"),
        (b"x = 1\n" * 100, 1, "larger than max_bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_bad_row(tree, content, position, reason):
    (tree / "app" / "page.js").write_bytes(content)
    (bad,) = [row for row in read(tree, max_bytes=200) if isinstance(row, BadRow)]
    assert (bad.file, bad.position, bad.reason) == ("app/page.js", position, reason)


def test_a_link_is_not_followed(tree):
    (tree / "app" / "again.py").symlink_to(tree / "app" / "mean.py")
    assert "code_tree:app/again.py" not in {row.id for row in read(tree)}


def test_a_folder_that_cannot_be_listed_is_named_unless_it_is_excluded(tree, monkeypatch):
    list_folder = os.scandir

    def refuse(path):
        if Path(path).name == "tests":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"tests cannot be read \(Permission denied\).*`exclude`"):
        read(tree)
    assert [row.id for row in read(tree, exclude=["tests", ".*", "build", "node_modules"])] == [
        "code_tree:app/mean.py",
        "code_tree:app/page.js",
    ]


def test_what_is_not_a_folder_is_one_paragraph(tree):
    with pytest.raises(UserError, match="is not a folder"):
        read(tree, path="app/mean.py")
