"""The source `python_stdlib`, on a few packages of the real library."""

import sysconfig
from itertools import groupby
from pathlib import Path

import pytest

from demiurgic.collect.python_functions import definitions
from demiurgic.collect.sources import SOURCES
from demiurgic.collect.sources.python_stdlib import _paths
from demiurgic.core.errors import UserError
from demiurgic.verify.python_syntax import parses

LIBRARY = Path(sysconfig.get_path("stdlib"))


def read(**options):
    return list(SOURCES.choose({"use": "python_stdlib", **options})(Path("anywhere")))


@pytest.fixture(scope="module")
def rows():
    return read(packages=["json", "textwrap", "asyncio"])


def test_each_row_names_module_file_line_and_licence(rows):
    row = next(row for row in rows if row.facts["name"] == "TextWrapper.fill")
    line = (LIBRARY / "textwrap.py").read_text().split("\n").index("    def fill(self, text):") + 1
    assert row.id == f"python_stdlib:textwrap.py:{line}:write"
    assert (row.source, row.license, row.domain) == ("python_stdlib", "PSF-2.0", "code")
    assert (row.facts["module"], row.facts["file"], row.facts["line"]) == ("textwrap", "textwrap.py", line)


def test_prefix_and_answer_always_parse(rows):
    cut = [row for row in rows if "prefix" in row.facts]
    assert len(cut) > 500
    assert all(parses(row.facts["prefix"] + row.answer()) for row in cut)


def test_answers_are_lines_of_the_real_file(rows):
    for file, of_file in groupby((row for row in rows if "prefix" in row.facts), key=lambda row: row.facts["file"]):
        lines = [line.strip() for line in (LIBRARY / file).read_text().split("\n")]
        assert all(line.strip() in lines for row in of_file for line in row.answer().split("\n"))


def test_no_row_holds_a_path_of_this_machine(rows):
    assert not any(str(LIBRARY) in row.meta + row.id for row in rows)


def test_every_definition_in_bounds_with_a_docstring_and_code_gives_all_three_kinds():
    found = [d for d in definitions((LIBRARY / "textwrap.py").read_text()) if 80 <= len(d.source) <= 6000]
    asked = {(row.facts["name"], row.facts["kind"]) for row in read(packages=["textwrap"])}
    documented = [d.name for d in found if d.docstring and d.body is not None and len(d.lines) - d.body > 1]
    assert documented
    assert {(name, kind) for name in documented for kind in ("write", "complete", "explain")} <= asked


def test_kinds_and_bounds_choose_what_is_asked():
    rows = read(packages=["textwrap"], kinds=["complete"], max_characters=400)
    assert {row.facts["kind"] for row in rows} == {"complete"}
    assert all(len(row.facts["prefix"] + row.answer()) <= 400 for row in rows)


def test_tests_tables_and_other_peoples_packages_are_left_out():
    paths = _paths(LIBRARY, packages=None)
    assert "asyncio/events.py" in paths
    assert not [path for path in paths if {"test", "tests", "site-packages"} & set(path.split("/"))]
    assert [path for path in paths if path.startswith("encodings/")] == [
        "encodings/__init__.py", "encodings/idna.py", "encodings/punycode.py",
    ]  # fmt: skip


def test_an_unknown_package_is_answered_with_the_nearest():
    with pytest.raises(UserError, match='Did you mean "textwrap"'):
        read(packages=["textwarp"])
