"""What holds for every registered filter: a verdict about one row, whoever stands beside it, and the row left alone."""

import copy

import numpy as np
import pytest

from demiurgic.core.records import to_batch
from demiurgic.core.row_batch import RowBatch
from demiurgic.curate.filters import FILTERS, KEEP, Drop, Keep
from demiurgic.curate.judge import verdicts_of
from plugin_examples import FILTER_OPTIONS, filter_, ours, rows_for, verdicts

NAMES = [entry.name for entry in ours(FILTERS)]


def in_a_batch(name, rows):
    return verdicts(filter_(name), rows)


def test_every_filter_has_its_options():
    assert sorted(FILTER_OPTIONS) == NAMES, "add the new filter to tests/plugin_examples.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_keeps_some_rows_and_drops_others_with_a_reason(name):
    found = in_a_batch(name, rows_for(name))
    assert KEEP in found
    assert any(isinstance(verdict, Drop) and verdict.reason for verdict in found)
    assert all(isinstance(verdict, Keep | Drop) for verdict in found)


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_gives_a_row_the_same_verdict_alone_and_in_a_batch(name):
    alone = [verdict for row in rows_for(name) for verdict in in_a_batch(name, [row])]
    assert in_a_batch(name, rows_for(name)) == alone
    assert in_a_batch(name, rows_for(name)[::-1]) == alone[::-1]


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_gives_the_same_verdict_each_time(name):
    assert in_a_batch(name, rows_for(name)) == in_a_batch(name, rows_for(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_leaves_the_rows_it_was_given_as_they_are(name):
    before = copy.deepcopy(rows_for(name))
    batch = to_batch(rows_for(name))
    verdicts_of(filter_(name), RowBatch(batch))
    assert before == rows_for(name)
    assert batch.equals(to_batch(rows_for(name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_has_nothing_to_say_of_no_rows(name):
    assert in_a_batch(name, []) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_sees_of_a_batch_the_rows_that_are_left(name):
    left = np.arange(len(rows_for(name))) % 2 == 0
    found = verdicts_of(filter_(name), RowBatch(to_batch(rows_for(name))).filter(left))
    assert [found.verdict(row) for row in range(int(left.sum()))] == in_a_batch(name, rows_for(name)[::2])


@pytest.mark.parametrize("name", NAMES)
def test_the_reasons_of_a_filter_are_few_enough_to_count_by(name):
    reasons = {verdict.reason for verdict in in_a_batch(name, rows_for(name)) if isinstance(verdict, Drop)}
    assert all(len(reason) <= 60 for reason in reasons)
    assert len(reasons) < len(rows_for(name)) / 2


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_has_a_line_for_the_list(name):
    assert FILTERS.get(name).line
