import os

import pytest

from demiurgic.core.errors import UserError
from demiurgic.run.engine import Engine, batches


def double(number: int) -> int:
    return 2 * number


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return os.getpid()


def test_results_come_in_order():
    assert list(Engine(2).map(double, range(50))) == [2 * n for n in range(50)]
    assert list(Engine(1).map(double, range(5))) == [0, 2, 4, 6, 8]


def test_few_items_stay_in_this_process():
    assert set(Engine(2).map(fail_at_three, [1, 2], worth_processes=False)) == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_arrives(workers):
    with pytest.raises(ValueError, match="three"):
        list(Engine(workers).map(fail_at_three, range(5)))


def test_batches_keep_everything():
    assert [list(b) for b in batches(range(5), 2)] == [[0, 1], [2, 3], [4]]


def die(number: int) -> int:
    os.kill(os.getpid(), 9)
    return number


def test_a_killed_worker_is_a_users_error():
    with pytest.raises(UserError, match="A worker process was killed"):
        list(Engine(2).map(die, range(3)))
