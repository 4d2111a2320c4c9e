"""Every registered loss meets the contract of losses."""

from typing import Any

import pytest
import torch

from demiurgic.core.registry import Choice
from demiurgic.train.losses import LOSSES, needs_teacher
from tiny_training import evaluated

N, V = 6, 11


def cases() -> list[Any]:
    """Each loss, and each that has a temperature at 1, 2 and 4."""
    found = []
    for name, entry in LOSSES.entries().items():
        temperatures: list[dict[str, float]] = [{}]
        if "temperature" in entry.options.model_fields:
            temperatures = [{"temperature": t} for t in (1.0, 2.0, 4.0)]
        found += [pytest.param(LOSSES.choose({"use": name, **t}), id=f"{name}{t or ''}") for t in temperatures]
    return found


every_loss = pytest.mark.parametrize("loss", cases())
every_divergence = pytest.mark.parametrize("loss", [case for case in cases() if needs_teacher(case.values[0])])


def logits(seed: int) -> torch.Tensor:
    return 3 * torch.randn(N, V, generator=torch.Generator().manual_seed(seed))


LABELS = torch.tensor([0, 3, 10, 3, 7, 1])


@every_divergence
def test_a_divergence_is_0_with_gradient_0_when_the_student_equals_the_teacher(loss: Choice):
    value_N, gradient_NV = evaluated(loss, logits(1), LABELS, logits(1))
    assert value_N.abs().max() < 1e-6
    assert gradient_NV.abs().max() < 1e-6


@every_divergence
def test_a_divergence_is_never_negative(loss: Choice):
    near = logits(1) + 1e-3 * logits(2)
    for student_NV in (logits(2), near):
        value_N, _ = evaluated(loss, student_NV, LABELS, logits(1))
        assert value_N.min() > -1e-6


@every_divergence
def test_a_divergence_does_not_read_the_labels(loss: Choice):
    first, second = (evaluated(loss, logits(1), labels, logits(2)) for labels in (LABELS, LABELS.flip(0)))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@every_loss
def test_a_constant_added_to_the_logits_changes_nothing(loss: Choice):
    value_N, gradient_NV = evaluated(loss, logits(1), LABELS, logits(2))
    moved_N, moved_gradient_NV = evaluated(loss, logits(1) + 5.0, LABELS, logits(2) - 7.0)
    torch.testing.assert_close(moved_N, value_N, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(moved_gradient_NV, gradient_NV, rtol=1e-5, atol=1e-5)


@every_loss
def test_the_gradient_of_a_token_sums_to_0(loss: Choice):
    _, gradient_NV = evaluated(loss, logits(1), LABELS, logits(2))
    assert gradient_NV.sum(dim=1).abs().max() < 1e-5


@every_loss
def test_the_gradient_is_that_of_the_value(loss: Choice):
    direction_NV, step = logits(3), 1e-2
    _, gradient_NV = evaluated(loss, logits(1), LABELS, logits(2))
    ahead_N, _ = evaluated(loss, logits(1) + step * direction_NV, LABELS, logits(2))
    behind_N, _ = evaluated(loss, logits(1) - step * direction_NV, LABELS, logits(2))
    slope_N = (ahead_N - behind_N) / (2 * step)
    torch.testing.assert_close((gradient_NV * direction_NV).sum(dim=1), slope_N, rtol=2e-2, atol=2e-3)


@every_loss
def test_a_token_has_the_same_loss_alone_and_among_others(loss: Choice):
    value_N, gradient_NV = evaluated(loss, logits(1), LABELS, logits(2))
    alone_N, alone_NV = evaluated(loss, logits(1)[2:3], LABELS[2:3], logits(2)[2:3])
    torch.testing.assert_close(alone_N, value_N[2:3])
    torch.testing.assert_close(alone_NV, gradient_NV[2:3])


GOLDEN = {
    ("cross_entropy", 1): [3.34235, 4.315394, 1.664098],
    ("forward_kl", 1): [0.21914, 2.096857, 1.176431],
}
"""Two values and the gradient's norm of each version of each loss, by autograd in fp64; a change is a new version."""


@pytest.mark.parametrize("name", LOSSES.entries())
def test_the_output_of_a_version_never_changes(name: str):
    entry = LOSSES.get(name)
    options = {"temperature": 2.0} if "temperature" in entry.options.model_fields else {}
    student_NV = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, 0.3, -3.0]])
    teacher_NV = torch.tensor([[1.5, -0.5, 0.0, 1.0], [-2.0, 4.0, 0.0, 0.0]])
    choice = LOSSES.choose({"use": name, **options})
    value_N, gradient_NV = evaluated(choice, student_NV, torch.tensor([1, 3]), teacher_NV)
    assert [*value_N.tolist(), float(gradient_NV.norm())] == pytest.approx(GOLDEN[name, entry.version], rel=1e-5)
