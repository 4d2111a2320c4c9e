"""AdamW's groups, the norm of a gradient, and numbers that are not finite."""

import math

import pytest
import torch
from torch import nn

from demiurgic.core.errors import UserError
from demiurgic.train.optimizer import (
    Gradient,
    adamw,
    clip,
    gradient_norm,
    refuse_non_finite_loss,
    refuse_non_finite_norm,
)


def layer(*gradient: float) -> nn.Module:
    """A layer of three weights and one bias with this gradient."""
    found = nn.Linear(3, 1)
    found.weight.grad = torch.tensor([gradient[:3]])
    found.bias.grad = torch.tensor(gradient[3:])
    return found


def test_matrices_decay_and_vectors_do_not():
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 3), nn.LayerNorm(3))
    decayed, kept = adamw(model, weight_decay=0.1, betas=(0.9, 0.95)).param_groups
    assert decayed["weight_decay"] == 0.1
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3), (3, 3)]
    assert kept["weight_decay"] == 0
    assert [tuple(p.shape) for p in kept["params"]] == [(3,), (3,), (3,)]


def test_the_norm_is_over_all_parameters():
    assert gradient_norm(layer(2.0, 4.0, 5.0, 2.0)) == pytest.approx(7.0)


def test_a_long_gradient_is_scaled_to_the_limit_and_a_short_one_is_left():
    model = layer(2.0, 4.0, 5.0, 2.0)
    clip(model, 7.0, limit=3.5)
    assert gradient_norm(model) == pytest.approx(3.5)
    clip(model, 3.5, limit=7.0)
    assert gradient_norm(model) == pytest.approx(3.5)


def test_without_a_limit_nothing_is_scaled():
    model = layer(2.0, 4.0, 5.0, 2.0)
    clip(model, 7.0, limit=None)
    assert gradient_norm(model) == pytest.approx(7.0)


def test_a_component_that_is_not_finite_is_named_with_step_and_windows():
    gradient = Gradient(math.nan, [1.0, math.inf], tokens=10)
    with pytest.raises(
        UserError, match="At step 7 the loss cross_entropy is inf, on the windows 3, 1. The weights were"
    ):
        refuse_non_finite_loss(gradient, ["forward_kl", "cross_entropy"], step=7, windows=[3, 1])


def test_a_parameter_whose_gradient_is_not_finite_is_named():
    with pytest.raises(UserError, match="At step 7 the gradient's norm is nan, first that of bias, on the windows 3"):
        refuse_non_finite_norm(math.nan, layer(1.0, 1.0, 1.0, math.nan), step=7, windows=[3])
