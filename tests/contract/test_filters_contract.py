"""What holds for every registered filter: a verdict about one row, whoever stands beside it, and the row left alone."""

import copy

import pytest

from demiurgic.curate.filters import FILTERS, KEEP, Drop, Keep
from demiurgic.curate.judge import verdicts
from plugin_examples import FILTER_OPTIONS, FILTERED_ROWS, filter_, ours

NAMES = [entry.name for entry in ours(FILTERS)]


def in_a_batch(name, rows):
    return verdicts(rows, filters=[{"use": name, **FILTER_OPTIONS[name]}])


def test_every_filter_has_its_options():
    assert sorted(FILTER_OPTIONS) == NAMES, "add the new filter to tests/plugin_examples.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_keeps_some_rows_and_drops_others_with_a_reason(name):
    found = [filter_(name)(row) for row in FILTERED_ROWS]
    assert KEEP in found
    assert any(isinstance(verdict, Drop) and verdict.reason for verdict in found)
    assert all(isinstance(verdict, Keep | Drop) for verdict in found)


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_gives_a_row_the_same_verdict_alone_and_in_a_batch(name):
    alone = [verdict for row in FILTERED_ROWS for verdict in in_a_batch(name, [row])]
    assert in_a_batch(name, FILTERED_ROWS) == alone
    assert in_a_batch(name, FILTERED_ROWS[::-1]) == alone[::-1]


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_gives_the_same_verdict_each_time(name):
    assert [filter_(name)(row) for row in FILTERED_ROWS] == [filter_(name)(row) for row in FILTERED_ROWS]


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_leaves_the_row_as_it_is(name):
    before = copy.deepcopy(FILTERED_ROWS)
    for row in FILTERED_ROWS:
        filter_(name)(row)
    assert before == FILTERED_ROWS


@pytest.mark.parametrize("name", NAMES)
def test_the_reasons_of_a_filter_are_few_enough_to_count_by(name):
    reasons = {verdict.reason for row in FILTERED_ROWS if isinstance(verdict := filter_(name)(row), Drop)}
    assert all(len(reason) <= 60 for reason in reasons)
    assert len(reasons) < len(FILTERED_ROWS) / 2


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_has_a_line_for_the_list(name):
    assert FILTERS.get(name).line
