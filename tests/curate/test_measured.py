"""Rows are measured once for all filters that ask, also after some of them were dropped."""

import numpy as np

from demiurgic.curate.measured import measured
from row_batches import talks

ROWS = [("Write a story.", "Once there was a dragon."), ("2 + 2?", "4"), ("Hi", "Hello, my friend. How are you?")]


def test_rows_that_are_left_are_measured_as_if_alone():
    kept = np.array([True, False, True])
    left = measured(talks(*ROWS).filter(kept))
    alone = measured(talks(ROWS[0], ROWS[2]))
    np.testing.assert_array_equal(left.said.facts_NF, alone.said.facts_NF)
    np.testing.assert_array_equal(left.asked.counts_NC, alone.asked.counts_NC)
    np.testing.assert_array_equal(left.answer.facts_NF, alone.answer.facts_NF)


def test_rows_are_measured_once():
    rows = talks(*ROWS)
    first = measured(rows)
    assert np.shares_memory(first.said.facts_NF, measured(rows).said.facts_NF)
    told = rows.replaced(source=rows.column("source"))
    assert np.shares_memory(first.said.facts_NF, measured(told).said.facts_NF)


def test_rows_with_other_texts_are_measured_anew():
    rows, other = talks(*ROWS), talks(*ROWS[::-1])
    measured(rows)
    changed = rows.replaced(messages=other.column("messages"))
    np.testing.assert_array_equal(measured(changed).said.facts_NF, measured(other).said.facts_NF)
