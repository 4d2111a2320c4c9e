"""The few numbers that processes tell one another."""

from pathlib import Path

import torch

from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.parallel import largest, summed
from two_processes import on_two_processes


def told() -> tuple[list[float], list[float]]:
    accelerator = accelerator_on(torch.device("cpu"), "fp32", processes=2)
    own = [1.0, 10.0 * accelerator.process_index]
    return largest(own, accelerator), summed(own, accelerator)


def test_every_process_has_the_largest_and_the_sum_over_all(tmp_path: Path):
    assert on_two_processes(told, out=tmp_path) == [([1.0, 10.0], [2.0, 10.0])] * 2


def test_one_process_has_its_own():
    accelerator = accelerator_on(torch.device("cpu"), "fp32", processes=1)
    assert largest([3.0], accelerator) == summed([3.0], accelerator) == [3.0]
