"""Many at once, and still one after the other."""

import threading
import time

import pytest

from demiurgic.providers.in_order import AHEAD, in_order


def test_results_come_in_the_order_of_the_items():
    def slower_first(number):
        time.sleep(0.02 * (5 - number))
        return number

    assert list(in_order(slower_first, range(5), at_once=5)) == [0, 1, 2, 3, 4]


def test_items_are_taken_as_they_are_needed():
    taken = []
    source = (taken.append(number) or number for number in range(1000))
    results = in_order(lambda number: number, source, at_once=2)
    next(results)
    assert len(taken) <= 2 * AHEAD + 1
    results.close()


def test_when_one_fails_no_other_is_begun_and_those_begun_are_waited_for():
    begun, ended, stopped = [], [], []

    def work(number):
        begun.append(number)
        if number == 0:
            raise ValueError("zero")
        time.sleep(0.2)
        ended.append(number)
        return number

    with pytest.raises(ValueError, match="zero"):
        list(in_order(work, range(100), at_once=3, on_stop=lambda: stopped.append(True)))
    assert sorted(begun) == sorted([0, *ended])
    assert len(begun) < 10
    assert stopped == [True]


def test_closing_ends_the_threads():
    before = set(threading.enumerate())
    results = in_order(lambda number: number, range(10), at_once=4)
    next(results)
    results.close()
    assert set(threading.enumerate()) <= before
