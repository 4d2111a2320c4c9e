"""The group of a row: one rule for splitting and for clustering."""

import pytest

from demiurgic.core.errors import UserError
from demiurgic.core.groups import group_of
from tiny_rows import with_meta


def test_a_group_is_a_field_of_the_row_or_of_its_meta():
    row = with_meta("a", module="json", level=3)
    assert [group_of(row, by=by, option="by") for by in ("source", "id", "module", "level")] == [
        "list",
        "a",
        "json",
        "3",
    ]


def test_a_field_that_is_null_is_missing():
    row = with_meta("a", module=None, name="x")
    with pytest.raises(UserError, match='cluster_by: row a .*, its "module" is null. Its meta has name. Name a field'):
        group_of(row, by="module", option="cluster_by")


def test_a_field_that_is_missing_is_answered_with_the_nearest_one():
    with pytest.raises(UserError, match='it has no "modul". Its meta has module. Did you mean "module"'):
        group_of(with_meta("a", module="json"), by="modul", option="cluster_by")
