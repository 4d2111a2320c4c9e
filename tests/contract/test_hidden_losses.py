"""Every registered loss on hidden states meets its contract."""

import pytest
import torch
from torch import Tensor

from demiurgic.core.registry import Choice
from demiurgic.train.hidden_loss import HiddenPair
from demiurgic.train.losses import LOSSES

N, E = 6, 5
NAMES = [name for name, entry in LOSSES.entries().items() if entry.facts.get("reads") == "hidden"]
every_loss = pytest.mark.parametrize("loss", [LOSSES.choose(name) for name in NAMES], ids=NAMES)


def states(seed: int) -> Tensor:
    return torch.randn(N, E, generator=torch.Generator().manual_seed(seed))


@every_loss
def test_it_takes_the_layers_to_compare_the_final_ones_by_default(loss: Choice):
    assert {"student_layer": -1, "teacher_layer": -1}.items() <= dict(loss.options).items()


@every_loss
def test_it_is_0_with_gradient_0_when_the_states_are_equal(loss: Choice):
    given = states(1).requires_grad_()
    value_N: Tensor = loss(HiddenPair(given, states(1)))
    value_N.sum().backward()
    assert given.grad is not None
    assert value_N.shape == (N,) and value_N.abs().max() < 1e-6
    assert given.grad.abs().max() < 1e-6


@every_loss
def test_it_is_positive_and_finite_when_they_differ(loss: Choice):
    value_N = loss(HiddenPair(states(1), states(2)))
    assert value_N.isfinite().all() and (value_N > 0).all()


@every_loss
def test_it_stays_finite_for_states_that_are_0(loss: Choice):
    given = torch.zeros(N, E, requires_grad=True)
    loss(HiddenPair(given, states(2))).sum().backward()
    assert given.grad is not None and given.grad.isfinite().all()


@every_loss
def test_a_token_has_the_same_loss_alone_and_among_others(loss: Choice):
    value_N = loss(HiddenPair(states(1), states(2)))
    torch.testing.assert_close(loss(HiddenPair(states(1)[2:3], states(2)[2:3])), value_N[2:3])


GOLDEN = {
    ("hidden_cosine", 1): [0.033908, 1.174091],
    ("hidden_mse", 1): [0.25, 11.616667],
}
"""Two values of each version of each loss, by hand; a change is a new version."""


@every_loss
def test_the_output_of_a_version_never_changes(loss: Choice):
    student_NE = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -3.0]])
    teacher_NE = torch.tensor([[1.5, -0.5, 0.0], [-2.0, 4.0, 1.0]])
    value_N = loss(HiddenPair(student_NE, teacher_NE))
    assert value_N.tolist() == pytest.approx(GOLDEN[loss.name, loss.entry.version], rel=2e-5)
