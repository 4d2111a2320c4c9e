"""Every registered loss meets the contract of losses."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.core.registry import Choice
from demiurgic.train.losses import LOSSES, needs_teacher
from demiurgic.train.signals import TopK
from tiny_training import evaluated
from told_teachers import drawn, top_k

Form = Callable[[torch.Tensor], Any]
"""What becomes of the teacher's logits: they themselves, or the likeliest words."""

N, V = 6, 11


def cases() -> list[Any]:
    """Each loss, and each that has a temperature at 1, 2 and 4."""
    found = []
    for name, entry in LOSSES.entries().items():
        if entry.facts.get("reads") == "hidden":  # test_hidden_losses.py
            continue
        temperatures: list[dict[str, float]] = [{}]
        if "temperature" in entry.options.model_fields:
            temperatures = [{"temperature": t} for t in (1.0, 2.0, 4.0)]
        found += [pytest.param(LOSSES.choose({"use": name, **t}), id=f"{name}{t or ''}") for t in temperatures]
    return found


def told(logits_NV: torch.Tensor) -> TopK:
    return top_k(logits_NV, k=4)


every_form = pytest.mark.parametrize("form", [lambda logits_NV: logits_NV, told], ids=["whole", "likeliest"])
every_loss = pytest.mark.parametrize("loss", cases())
every_divergence = pytest.mark.parametrize("loss", [case for case in cases() if needs_teacher(case.values[0])])


def logits(seed: int) -> torch.Tensor:
    return 3 * torch.randn(N, V, generator=torch.Generator().manual_seed(seed))


LABELS = torch.tensor([0, 3, 10, 3, 7, 1])


@every_form
@every_divergence
def test_a_divergence_is_0_with_gradient_0_when_the_student_equals_the_teacher(loss: Choice, form: Form):
    value_N, gradient_NV = evaluated(loss, logits(1), LABELS, form(logits(1)))
    # T² multiplies the rounding of log-probabilities too
    temperature = dict(loss.options).get("temperature", 1.0)
    assert value_N.abs().max() < 5e-7 * temperature**2
    # an absolute value has a corner at 0, where rounding chooses the side
    assert gradient_NV.abs().max() < 1e-6 or (loss.name == "total_variation" and isinstance(form(logits(1)), TopK))


@every_form
@every_divergence
def test_a_divergence_is_never_negative(loss: Choice, form: Form):
    near = logits(1) + 1e-3 * logits(2)
    for student_NV in (logits(2), near):
        value_N, _ = evaluated(loss, student_NV, LABELS, form(logits(1)))
        assert value_N.min() > -1e-6


@every_divergence
def test_putting_words_together_never_makes_a_divergence_larger(loss: Choice):
    whole_N, _ = evaluated(loss, logits(2), LABELS, logits(1))
    coarse_N, _ = evaluated(loss, logits(2), LABELS, told(logits(1)))
    assert (coarse_N <= whole_N + 1e-6).all()
    assert coarse_N.min() > 0.01


@every_divergence
def test_a_divergence_does_not_read_the_labels(loss: Choice):
    first, second = (evaluated(loss, logits(1), labels, logits(2)) for labels in (LABELS, LABELS.flip(0)))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@every_form
@every_loss
def test_a_constant_added_to_the_logits_changes_nothing(loss: Choice, form: Form):
    value_N, gradient_NV = evaluated(loss, logits(1), LABELS, form(logits(2)))
    moved_N, moved_gradient_NV = evaluated(loss, logits(1) + 5.0, LABELS, form(logits(2) - 7.0))
    torch.testing.assert_close(moved_N, value_N, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(moved_gradient_NV, gradient_NV, rtol=1e-5, atol=1e-5)


@every_form
@every_loss
def test_the_gradient_of_a_token_sums_to_0(loss: Choice, form: Form):
    _, gradient_NV = evaluated(loss, logits(1), LABELS, form(logits(2)))
    assert gradient_NV.sum(dim=1).abs().max() < 1e-5


@every_form
@every_loss
def test_the_gradient_is_that_of_the_value(loss: Choice, form: Form):
    direction_NV, step = logits(3), 1e-2
    _, gradient_NV = evaluated(loss, logits(1), LABELS, form(logits(2)))
    ahead_N, _ = evaluated(loss, logits(1) + step * direction_NV, LABELS, form(logits(2)))
    behind_N, _ = evaluated(loss, logits(1) - step * direction_NV, LABELS, form(logits(2)))
    slope_N = (ahead_N - behind_N) / (2 * step)
    torch.testing.assert_close((gradient_NV * direction_NV).sum(dim=1), slope_N, rtol=2e-2, atol=2e-3)


@every_loss
def test_a_token_has_the_same_loss_alone_and_among_others(loss: Choice):
    value_N, gradient_NV = evaluated(loss, logits(1), LABELS, logits(2))
    alone_N, alone_NV = evaluated(loss, logits(1)[2:3], LABELS[2:3], logits(2)[2:3])
    torch.testing.assert_close(alone_N, value_N[2:3])
    torch.testing.assert_close(alone_NV, gradient_NV[2:3])


def test_a_temperature_that_a_cache_does_not_have_is_refused_with_those_it_has():
    cold = LOSSES.choose({"use": "jsd", "temperature": 3.0})
    with pytest.raises(UserError, match=r"likeliest words at temperature 3, and they were kept at: 1, 2, 4\."):
        evaluated(cold, logits(1), LABELS, told(logits(2)))
    words = drawn(logits(2), num_draws=5, seed=0, temperature=2.0)
    with pytest.raises(UserError, match=r"drawn words at temperature 1, and they were kept at: 2\."):
        evaluated(LOSSES.choose("forward_kl"), logits(1), LABELS, words)


def test_a_loss_that_wants_a_distribution_is_refused_on_drawn_words():
    with pytest.raises(UserError, match="only words that were drawn"):
        evaluated(LOSSES.choose("reverse_kl"), logits(1), LABELS, drawn(logits(2), num_draws=5, seed=0))


GOLDEN = {
    ("cross_entropy", 1): [8.897374, 11.058096, 3.023633],
    ("forward_kl", 1): [0.21914, 2.096857, 1.176431],
    ("reverse_kl", 1): [0.202721, 2.747658, 1.355456],
    ("jsd", 1): [0.05235, 0.553131, 0.276861],
    ("skew_forward_kl", 1): [0.173918, 1.710906, 0.907202],
    ("skew_reverse_kl", 1): [0.166086, 1.950966, 0.939834],
    ("total_variation", 1): [0.60558, 1.938908, 0.671808],
}
"""Two values and the gradient's norm of each version of each loss, by autograd in fp64; a change is a new version."""


@pytest.mark.parametrize("name", sorted({case.values[0].name for case in cases()}))
def test_the_output_of_a_version_never_changes(name: str):
    entry = LOSSES.get(name)
    options = {"temperature": 2.0} if "temperature" in entry.options.model_fields else {}
    student_NV = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.1, 0.2, 0.3, -3.0]])
    teacher_NV = torch.tensor([[1.5, -0.5, 0.0, 1.0], [-2.0, 4.0, 0.0, 0.0]])
    choice = LOSSES.choose({"use": name, **options})
    value_N, gradient_NV = evaluated(choice, student_NV, torch.tensor([1, 3]), teacher_NV)
    assert [*value_N.tolist(), float(gradient_NV.norm())] == pytest.approx(GOLDEN[name, entry.version], rel=1e-5)
