"""Values and gradients of the losses, against autograd in fp64 through the whole head."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from demiurgic.train.chunk import Workspace
from demiurgic.train.head_loss import Losses, Supervised, head_losses
from tiny_training import FixedTeacher, components

N, D, V = 40, 12, 31


def reference_cross_entropy(student_NV: Tensor, teacher_NV: Tensor, labels_N: Tensor, temperature: float) -> Tensor:
    return cross_entropy(student_NV, labels_N, reduction="none")


def reference_forward_kl(student_NV: Tensor, teacher_NV: Tensor, labels_N: Tensor, temperature: float) -> Tensor:
    log_s, log_p = log_softmax(student_NV / temperature, -1), log_softmax(teacher_NV / temperature, -1)
    return temperature**2 * (log_p.exp() * (log_p - log_s)).sum(-1)


REFERENCES: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {
    "cross_entropy": reference_cross_entropy,
    "forward_kl": reference_forward_kl,
}


class Example:
    """Hidden states, a head, and what is known of the tokens."""

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(5)
        self.hidden_ND = torch.randn(N, D, generator=random).requires_grad_()
        self.head_VD = torch.randn(V, D, generator=random).requires_grad_()
        self.labels_N = torch.randint(0, V, (N,), generator=random)
        self.weights_N = torch.rand(N, generator=random) / N
        self.teacher_NV = 3 * torch.randn(N, V, generator=random)

    def losses(self, *chosen: str | dict[str, object], buffer_bytes: int = 8 << 20, bf16: bool = False) -> Losses:
        tokens = Supervised(self.labels_N, self.weights_N, FixedTeacher(self.teacher_NV))
        return head_losses(
            self.hidden_ND,
            self.head_VD,
            tokens,
            components=components(*chosen),
            workspace=Workspace(),
            buffer_bytes=buffer_bytes,
            bf16=bf16,
        )

    def gradients(self, losses: Losses) -> tuple[Tensor, Tensor]:
        found = torch.autograd.grad(losses.total, (self.hidden_ND, self.head_VD))
        return found[0], found[1]

    def reference(self, weights: dict[str, float], temperature: float) -> tuple[float, Tensor, Tensor]:
        hidden_ND = self.hidden_ND.detach().double().requires_grad_()
        head_VD = self.head_VD.detach().double().requires_grad_()
        total = torch.zeros((), dtype=torch.float64)
        for name, weight in weights.items():
            value_N = REFERENCES[name](hidden_ND @ head_VD.T, self.teacher_NV.double(), self.labels_N, temperature)
            total = total + weight * (value_N * self.weights_N.double()).sum()
        total.backward()
        assert hidden_ND.grad is not None
        assert head_VD.grad is not None
        return total.item(), hidden_ND.grad, head_VD.grad


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize(
    "weights", [{"cross_entropy": 1.0}, {"forward_kl": 1.0}, {"forward_kl": 0.9, "cross_entropy": 0.1}]
)
def test_values_and_gradients_are_those_of_autograd_in_fp64(weights: dict[str, float], temperature: float):
    example = Example()
    own = {"forward_kl": {"temperature": temperature}}
    losses = example.losses(*({"use": name, "weight": weight, **own.get(name, {})} for name, weight in weights.items()))
    total, hidden_ND, head_VD = example.reference(weights, temperature)
    found = example.gradients(losses)
    assert losses.total.item() == pytest.approx(total, rel=1e-6)
    assert relative_error(found[0], hidden_ND) < 1e-5
    assert relative_error(found[1], head_VD) < 1e-5


def test_in_bf16_values_are_exact_and_gradients_within_one_percent():
    example = Example()
    total, hidden_ND, head_VD = example.reference({"forward_kl": 1.0}, 1.0)
    losses = example.losses("forward_kl", bf16=True)
    found = example.gradients(losses)
    assert losses.total.item() == pytest.approx(total, rel=1e-6)
    assert relative_error(found[0], hidden_ND) < 1e-2
    assert relative_error(found[1], head_VD) < 1e-2


def test_autocast_around_the_losses_does_not_round_the_logits():
    example = Example()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = example.losses("forward_kl", "cross_entropy")
    assert torch.equal(losses.total, example.losses("forward_kl", "cross_entropy").total)


def test_the_chunk_size_never_matters():
    whole, small = Example(), Example()
    chosen = ({"use": "forward_kl", "temperature": 2.0}, "cross_entropy")
    N_many = 200
    random = torch.Generator().manual_seed(6)
    for example in (whole, small):
        random.manual_seed(6)
        example.hidden_ND = torch.randn(N_many, D, generator=random).requires_grad_()
        example.labels_N = torch.randint(0, V, (N_many,), generator=random)
        example.weights_N = torch.rand(N_many, generator=random)
        example.teacher_NV = torch.randn(N_many, V, generator=random)
    one_chunk, many_chunks = whole.losses(*chosen), small.losses(*chosen, buffer_bytes=1)
    torch.testing.assert_close(one_chunk.total, many_chunks.total, rtol=1e-6, atol=0)
    for one, many in zip(whole.gradients(one_chunk), small.gradients(many_chunks), strict=True):
        torch.testing.assert_close(one, many, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_the_total_is_the_weighted_sum_of_the_components_gradients():
    example = Example()
    both = example.gradients(
        example.losses({"use": "forward_kl", "weight": 0.7}, {"use": "cross_entropy", "weight": 0.2})
    )
    kl, ce = example.gradients(example.losses("forward_kl")), example.gradients(example.losses("cross_entropy"))
    for total, first, second in zip(both, kl, ce, strict=True):
        torch.testing.assert_close(total, 0.7 * first + 0.2 * second, rtol=1e-5, atol=1e-7)


def test_the_total_is_the_weighted_sum_of_the_raw_components():
    losses = Example().losses({"use": "forward_kl", "weight": 0.7}, {"use": "cross_entropy", "weight": 0.2})
    kl, ce = losses.raw_K.tolist()
    assert losses.total.item() == pytest.approx(0.7 * kl + 0.2 * ce, rel=1e-6)


def test_the_upstream_gradient_multiplies():
    example = Example()
    once = example.gradients(example.losses("cross_entropy"))
    tripled = torch.autograd.grad(3 * example.losses("cross_entropy").total, (example.hidden_ND, example.head_VD))
    for first, second in zip(once, tripled, strict=True):
        torch.testing.assert_close(3 * first, second)


def test_a_frozen_head_gets_no_gradient_and_the_hidden_states_the_same():
    example = Example()
    wanted, _ = example.gradients(example.losses("cross_entropy"))
    example.head_VD = example.head_VD.detach()
    (found,) = torch.autograd.grad(example.losses("cross_entropy").total, example.hidden_ND)
    assert torch.equal(found, wanted)


def test_two_losses_at_two_temperatures_do_not_disturb_one_another():
    example = Example()
    hot, cold = {"use": "forward_kl", "temperature": 4.0}, {"use": "forward_kl", "temperature": 1.0}
    together = example.losses(hot, cold)
    assert together.raw_K[0] == example.losses(hot).raw_K[0]
    assert together.raw_K[1] == example.losses(cold).raw_K[0]


def test_no_supervised_token_gives_the_loss_0_and_the_gradient_0():
    example = Example()
    example.hidden_ND = torch.zeros(0, D).requires_grad_()
    example.labels_N, example.weights_N = example.labels_N[:0], example.weights_N[:0]
    losses = example.losses("cross_entropy")
    _, head_VD = example.gradients(losses)
    assert losses.total.item() == 0
    assert not head_VD.any()
