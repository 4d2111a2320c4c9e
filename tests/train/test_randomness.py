"""The global random streams."""

import random

import numpy as np
import torch

from demiurgic.core.seeds import Seeds
from demiurgic.train.randomness import seed_randomness


def draw() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]


def test_a_step_draws_the_same_whatever_was_drawn_before():
    seed_randomness(Seeds(1), step=3, process=0)
    first = draw()
    draw()
    seed_randomness(Seeds(1), step=3, process=0)
    assert draw() == first


def test_steps_and_processes_and_seeds_draw_differently():
    found = []
    for seed, step, process in [(1, 3, 0), (1, 3, 1), (1, 4, 0), (2, 3, 0)]:
        seed_randomness(Seeds(seed), step=step, process=process)
        found.append(draw()[2])
    assert len(set(found)) == 4
