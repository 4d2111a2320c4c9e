"""Filters over rows, batch by batch: in order, the first reason wins, and processes change nothing."""

from dataclasses import dataclass

import pytest

from demiurgic.curate import judge as judging
from demiurgic.curate.filters import FILTERS, Drop
from demiurgic.curate.judge import judge
from demiurgic.run.engine import Engine
from tiny_rows import chat

STRICT = [FILTERS.choose("schema"), FILTERS.choose({"use": "min_words", "words": 2})]


def reasons(rows, *, workers=1, num_rows=0):
    judged = list(judge(rows, filters=STRICT, engine=Engine(workers), num_rows=num_rows))
    assert [item.row for item in judged] == rows
    return [item.drop and item.drop.reason for item in judged]


def test_the_first_filter_that_drops_a_row_gives_the_reason():
    rows = [chat("Hi", ""), chat("Hi", "one"), chat("Hi", "one two")]
    assert reasons(rows) == ["schema: empty message", "min_words: too few words", None]


def test_the_evidence_is_of_this_row():
    (judged,) = judge([chat("Hi", "one")], filters=STRICT, engine=Engine(1), num_rows=1)
    assert judged.drop == Drop("min_words: too few words", "1, wanted at least 2")


@dataclass(frozen=True)
class LosesVerdicts(Engine):
    """An engine that forgets the verdict of the last row of each batch."""

    def map(self, function, items, *, worth_processes=True):
        yield from (function(item)[:-1] for item in items)


def test_a_verdict_that_is_missing_never_loses_a_row():
    with pytest.raises(ValueError, match="shorter"):
        list(judge([chat("Hi", "one two")], filters=STRICT, engine=LosesVerdicts(1), num_rows=1))


def test_worker_processes_give_the_same_verdicts_in_the_same_order():
    rows = [chat("Hi", "one two" if number % 3 else "one", id=str(number)) for number in range(2 * judging.BATCH + 5)]
    assert reasons(rows, workers=2, num_rows=judging.WORTH_PROCESSES + 1) == reasons(rows)
