"""What holds for every registered source: whole rows with ids of their own, and a fingerprint that sees a change."""

import pytest

from demiurgic.collect.sources import SOURCES, BadRow, LeftOut
from demiurgic.core.hashing import canonical
from demiurgic.core.records import Row, read_row
from plugin_examples import SOURCE_EXAMPLES, ours, source

NAMES = [entry.name for entry in ours(SOURCES)]


@pytest.fixture
def folder(request, tmp_path):
    with SOURCE_EXAMPLES[request.node.callspec.params["name"]].in_folder(tmp_path) as folder:
        yield folder


def fingerprint(name, folder):
    choice = source(name)
    return canonical(choice.entry.fingerprint(folder, **dict(choice.options)))


def test_every_source_has_an_example():
    assert sorted(SOURCE_EXAMPLES) == NAMES, "add the new source to tests/plugin_examples.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_source_gives_rows_bad_rows_and_what_it_left_out_and_nothing_else(name, folder):
    found = list(source(name)(folder))
    assert any(isinstance(row, Row) for row in found)
    assert all(isinstance(row, Row | BadRow | LeftOut) for row in found)


@pytest.mark.parametrize("name", NAMES)
def test_the_ids_of_a_source_are_unique(name, folder):
    ids = [row.id for row in source(name)(folder) if isinstance(row, Row)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", NAMES)
def test_the_rows_of_a_source_are_valid_and_say_their_source(name, folder):
    for row in source(name)(folder):
        if isinstance(row, Row):
            assert read_row(row.to_json(), id="another") == row
            assert row.source
            assert isinstance(row.facts, dict)


@pytest.mark.parametrize("name", NAMES)
def test_a_source_gives_the_same_rows_in_the_same_order_each_time(name, folder):
    assert list(source(name)(folder)) == list(source(name)(folder))


@pytest.mark.parametrize("name", NAMES)
def test_no_row_tells_where_the_folder_lies(name, folder):
    assert not any(str(folder) in str(row) for row in source(name)(folder))


@pytest.mark.parametrize("name", NAMES)
def test_a_fingerprint_is_canonical_and_the_same_each_time(name, folder):
    assert fingerprint(name, folder) == fingerprint(name, folder)


@pytest.mark.parametrize("name", [name for name in NAMES if SOURCE_EXAMPLES[name].on_hub])
def test_the_fingerprint_of_what_lies_elsewhere_changes_with_the_commit(name, folder):
    choice = source(name)
    options = dict(choice.options)
    other = choice.entry.fingerprint(folder, **{**options, "revision": "f" * 40})
    assert canonical(other) != fingerprint(name, folder)


@pytest.mark.parametrize("name", [name for name in NAMES if not SOURCE_EXAMPLES[name].on_hub])
def test_a_fingerprint_changes_when_a_file_does(name, folder):
    before = fingerprint(name, folder)
    file = folder / SOURCE_EXAMPLES[name].file
    file.write_text(file.read_text() + "\n")
    assert fingerprint(name, folder) != before


@pytest.mark.parametrize("name", NAMES)
def test_a_source_has_a_line_for_the_list(name):
    assert SOURCES.get(name).line
