"""Values and gradients of the losses, against autograd in fp64 through the whole head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from demiurgic.models.head import LogitRule, OutputHead
from demiurgic.models.precision import native_bf16
from demiurgic.train.checkpointed_loss import checkpointed_losses
from demiurgic.train.chunk import STRIP_BYTES, Workspace
from demiurgic.train.components import Component
from demiurgic.train.head_loss import head_losses
from demiurgic.train.losses import LOSSES
from demiurgic.train.signals import Said, TeacherTokens
from demiurgic.train.walk import Losses, Supervised
from plain_losses import DIVERGENCES, coarse, on_draws, on_labels, whole
from tiny_training import FixedTeacher, components
from told_teachers import ToldTeacher, drawn, top_k

N, D, V = 40, 12, 31
TEMPERATURES = (1.0, 2.0, 4.0)
PLAIN = LogitRule()
Gradients = tuple[Tensor, ...]


@dataclass
class Example:
    """Hidden states, a head, and what is known of the tokens."""

    hidden_ND: Tensor
    head: OutputHead
    labels_N: Tensor
    weights_N: Tensor
    teacher_NV: Tensor
    said: TeacherTokens | None = None
    losses_of: Callable[..., Losses] = head_losses
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> list[Tensor]:
        tensors = [self.hidden_ND, self.head.weight_VD, self.head.bias_V]
        return [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]

    def losses(self, *chosen: str | dict[str, object], **given: Any) -> Losses:
        """The losses, by their closed forms."""
        return self.of(components(*chosen), **given)

    def of(self, chosen: Sequence[Component], **given: Any) -> Losses:
        tokens = Supervised(self.labels_N, self.weights_N, self.said or FixedTeacher(self.teacher_NV))
        settings = {"workspace": Workspace(), **self.given, **given}
        return self.losses_of(self.hidden_ND, self.head, tokens, components=chosen, **settings)

    def gradients(self, losses: Losses) -> Gradients:
        return torch.autograd.grad(losses.total, self.inputs)

    def plain(self, value_of: Callable[[Tensor], Tensor]) -> tuple[float, Gradients]:
        """Total and gradients by autograd in fp64, of losses that are a function of the logits."""
        hidden_ND, weight_VD = (t.detach().double().requires_grad_() for t in (self.hidden_ND, self.head.weight_VD))
        bias_V = self.head.bias_V.detach().double().requires_grad_() if self.head.bias_V is not None else None
        rule = self.head.rule
        logits_NV = rule.scale * (hidden_ND @ weight_VD.T + (0 if bias_V is None else bias_V))
        if rule.softcap is not None:
            logits_NV = rule.softcap * torch.tanh(logits_NV / rule.softcap)
        vocab_size = self.given.get("vocab_size") or V
        total = (value_of(logits_NV[:, :vocab_size]) * self.weights_N.double()).sum()
        inputs = [hidden_ND, weight_VD, *([] if bias_V is None else [bias_V])]
        return total.item(), torch.autograd.grad(total, inputs)


def example(*, num_tokens: int = N, bias: bool = False, rule: LogitRule = PLAIN, **given: Any) -> Example:
    random = torch.Generator().manual_seed(5)
    hidden_ND = torch.randn(num_tokens, D, generator=random).requires_grad_()
    weight_VD = torch.randn(V, D, generator=random).requires_grad_()
    bias_V = torch.randn(V, generator=random).requires_grad_() if bias else None
    vocab_size = given.get("vocab_size") or V
    return Example(
        hidden_ND,
        OutputHead(weight_VD, bias_V, rule),
        torch.randint(0, vocab_size, (num_tokens,), generator=random),
        torch.rand(num_tokens, generator=random) / num_tokens,
        3 * torch.randn(num_tokens, vocab_size, generator=random),
        given=given,
    )


def relative_error(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


def assert_exact(made: Example, losses: Losses, value_of: Callable[[Tensor], Tensor]) -> None:
    total, wanted = made.plain(value_of)
    assert losses.total.item() == pytest.approx(total, rel=2e-6)
    for found, gradient in zip(made.gradients(losses), wanted, strict=True):
        assert relative_error(found, gradient) < 1e-5


every_temperature = pytest.mark.parametrize("temperature", TEMPERATURES)
every_divergence = pytest.mark.parametrize("name", DIVERGENCES)
needs_bf16 = pytest.mark.skipif(not native_bf16(torch.device("cpu")), reason="in fp32 on a processor without bf16")
both_variants = pytest.mark.parametrize("losses_of", [head_losses, checkpointed_losses])


def test_every_divergence_has_a_plain_definition_here():
    registered = {name for name, entry in LOSSES.entries().items() if entry.facts.get("reads") == "distribution"}
    assert registered == set(DIVERGENCES)


@every_temperature
@every_divergence
@both_variants
def test_a_divergence_from_a_whole_distribution_is_exact(losses_of: Any, name: str, temperature: float):
    made = replace(example(), losses_of=losses_of)
    losses = made.losses({"use": name, "temperature": temperature})
    teacher_NV = made.teacher_NV.double()
    assert_exact(made, losses, lambda z_NV: whole(name, z_NV, teacher_NV, temperature=temperature))


@every_temperature
@every_divergence
@pytest.mark.parametrize("fill", [0, 3], ids=["full_rows", "filled_rows"])
@both_variants
def test_a_divergence_from_the_likeliest_words_is_that_of_the_coarse_distributions(
    losses_of: Any, name: str, temperature: float, fill: int
):
    made = replace(example(), losses_of=losses_of)
    made.said = ToldTeacher(top_k(made.teacher_NV, k=5, fill=fill))
    losses = made.losses({"use": name, "temperature": temperature})
    told = top_k(made.teacher_NV, k=5)
    assert_exact(made, losses, lambda z_NV: coarse(name, z_NV, told, temperature=temperature))


@every_divergence
def test_with_every_word_among_the_likeliest_it_is_that_of_the_whole(name: str):
    made = example()
    made.said = ToldTeacher(top_k(made.teacher_NV, k=V))
    losses = made.losses({"use": name, "temperature": 2.0})
    assert_exact(made, losses, lambda z_NV: whole(name, z_NV, made.teacher_NV.double(), temperature=2.0))


@every_temperature
@both_variants
def test_forward_kl_on_drawn_words_is_exact(losses_of: Any, temperature: float):
    made = replace(example(), losses_of=losses_of)
    said = drawn(made.teacher_NV, num_draws=9, seed=2, temperature=temperature)
    made.said = ToldTeacher(said)
    losses = made.losses({"use": "forward_kl", "temperature": temperature})
    assert_exact(made, losses, lambda z_NV: on_draws(z_NV, said.draws[temperature], temperature=temperature))


@every_temperature
def test_cross_entropy_is_exact(temperature: float):
    made = example()
    losses = made.losses({"use": "cross_entropy", "temperature": temperature})
    assert_exact(made, losses, lambda z_NV: on_labels(z_NV, made.labels_N, temperature=temperature))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
@pytest.mark.parametrize(
    ("name", "option"), [("jsd", "beta"), ("skew_forward_kl", "alpha"), ("skew_reverse_kl", "alpha")]
)
def test_a_mixture_is_exact_at_every_share(name: str, option: str, share: float):
    made = example()
    teacher_NV = made.teacher_NV.double()
    losses = made.losses({"use": name, option: share})
    assert_exact(made, losses, lambda z_NV: whole(name, z_NV, teacher_NV, temperature=1.0, **{option: share}))


@pytest.mark.parametrize(
    "rule", [LogitRule(), LogitRule(scale=0.3), LogitRule(softcap=4.0), LogitRule(scale=1.7, softcap=6.0)], ids=str
)
@both_variants
def test_bias_scale_and_soft_cap_are_part_of_the_gradient(losses_of: Any, rule: LogitRule):
    made = replace(example(bias=True, rule=rule), losses_of=losses_of)
    teacher_NV = made.teacher_NV.double()
    losses = made.losses("reverse_kl", "cross_entropy")

    def both(z_NV: Tensor) -> Tensor:
        return whole("reverse_kl", z_NV, teacher_NV, temperature=1.0) + on_labels(z_NV, made.labels_N, temperature=1.0)

    assert_exact(made, losses, both)


@both_variants
def test_words_beyond_the_shared_vocabulary_have_no_probability_and_the_gradient_0(losses_of: Any):
    made = replace(example(bias=True, vocab_size=23), losses_of=losses_of)
    teacher_NV = made.teacher_NV.double()
    losses = made.losses({"use": "jsd", "temperature": 2.0})
    assert_exact(made, losses, lambda z_NV: whole("jsd", z_NV, teacher_NV, temperature=2.0))
    _, weight_VD, bias_V = made.gradients(made.losses("jsd"))
    assert not weight_VD[23:].any()
    assert not bias_V[23:].any()
    assert weight_VD[:23].abs().sum(dim=1).min() > 0


@pytest.mark.parametrize("temperature", [0.02, 0.1])
@pytest.mark.parametrize("name", ["reverse_kl", "jsd", "skew_reverse_kl", "skew_forward_kl", "forward_kl"])
def test_divergences_are_finite_at_low_temperatures(name: str, temperature: float):
    made = example()
    teacher_NV = made.teacher_NV.double()
    losses = made.losses({"use": name, "temperature": temperature})
    total, _ = made.plain(lambda z_NV: whole(name, z_NV, teacher_NV, temperature=temperature))
    assert all(gradient.isfinite().all() for gradient in made.gradients(losses))
    assert losses.total.isfinite()
    # the plain definition of a mixture is not: log 0
    assert "kl" not in name or "skew" in name or losses.total.item() == pytest.approx(total, rel=1e-5)


def test_the_mean_gradient_of_many_draws_is_that_of_the_whole_distribution():
    """RS-KD is unbiased: s - w has the mean s - p."""
    made = example(num_tokens=4)
    wanted = made.gradients(made.losses("forward_kl"))
    value, num_rounds = 0.0, 400
    sums = [torch.zeros_like(gradient) for gradient in wanted]
    for seed in range(num_rounds):
        made.said = ToldTeacher(drawn(made.teacher_NV, num_draws=50, seed=seed))
        losses = made.losses("forward_kl")
        value += losses.total.item() / num_rounds
        for total, gradient in zip(sums, made.gradients(losses), strict=True):
            total += gradient / num_rounds
    assert value == pytest.approx(made_total(made), rel=2e-2)
    for found, gradient in zip(sums, wanted, strict=True):
        # one round is 10 times as far off
        assert relative_error(found, gradient.double()) < 1.5e-2


def made_total(made: Example) -> float:
    return replace(made, said=None).losses("forward_kl").total.item()


@needs_bf16
@both_variants
def test_in_bf16_values_are_exact_and_gradients_within_one_percent(losses_of: Any):
    made = replace(example(), losses_of=losses_of)
    total, wanted = made.plain(partial(whole, "forward_kl", teacher_NV=made.teacher_NV.double(), temperature=1.0))
    losses = made.losses("forward_kl", bf16=True)
    assert losses.total.item() == pytest.approx(total, rel=1e-6)
    for found, gradient in zip(made.gradients(losses), wanted, strict=True):
        assert 1e-5 < relative_error(found, gradient) < 1e-2


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_jsd_is_never_negative_near_a_student_in_bf16(beta: float):
    """Rounding logits, or the logarithm of the mixture, makes it so where both nearly agree."""
    made = example()
    rounded = made.hidden_ND.detach().bfloat16()
    made.teacher_NV = rounded.float() @ made.head.weight_VD.detach().T
    for student_ND in (rounded, (rounded.float() * (1 + 1e-6)), (rounded.float() * (1 + 1e-3)).bfloat16()):
        made.hidden_ND = student_ND.requires_grad_()
        made.weights_N = torch.eye(N)[0]
        for token in range(N):
            made.weights_N = torch.eye(N)[token]
            assert made.losses({"use": "jsd", "beta": beta}, bf16=True).total.item() >= -1e-12


def test_hidden_states_in_bf16_get_their_gradient_in_bf16():
    made = example()
    made.hidden_ND = made.hidden_ND.detach().bfloat16().requires_grad_()
    found, _ = made.gradients(made.losses("forward_kl"))
    assert found.dtype == torch.bfloat16


def test_autocast_around_the_losses_does_not_round_the_logits():
    made = example()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = made.losses("forward_kl", "cross_entropy")
    assert torch.equal(losses.total, made.losses("forward_kl", "cross_entropy").total)


@both_variants
def test_the_chunk_size_never_matters(losses_of: Any):
    made = replace(example(num_tokens=200, bias=True, rule=LogitRule(softcap=5.0)), losses_of=losses_of)
    chosen = ({"use": "forward_kl", "temperature": 2.0}, "cross_entropy", "jsd")
    one_chunk, two_chunks = made.losses(*chosen), made.losses(*chosen, buffer_bytes=1)
    torch.testing.assert_close(one_chunk.total, two_chunks.total, rtol=1e-6, atol=0)
    for one, two in zip(made.gradients(one_chunk), made.gradients(two_chunks), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["whole", "top_k", "samples"])
def test_the_strip_size_never_matters(form: str, monkeypatch: pytest.MonkeyPatch):
    made = example(rule=LogitRule(softcap=5.0))
    said: dict[str, Said] = {
        "top_k": top_k(made.teacher_NV, k=4),
        "samples": drawn(made.teacher_NV, num_draws=6, seed=1),
    }
    made.said = ToldTeacher(said[form]) if form in said else None
    whole_chunk = made.losses("forward_kl", "cross_entropy")
    monkeypatch.setitem(STRIP_BYTES, "cpu", 7 * 4 * V)
    strips = made.losses("forward_kl", "cross_entropy")
    torch.testing.assert_close(whole_chunk.raw_K, strips.raw_K, rtol=1e-6, atol=0)
    for one, two in zip(made.gradients(whole_chunk), made.gradients(strips), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_the_total_is_the_weighted_sum_of_the_components_gradients():
    made = example()
    weights = {name: 0.1 + 0.1 * position for position, name in enumerate(["cross_entropy", *DIVERGENCES])}
    together = made.gradients(made.losses(*({"use": name, "weight": weight} for name, weight in weights.items())))
    alone = {name: made.gradients(made.losses(name)) for name in weights}
    for position, total in enumerate(together):
        wanted = torch.stack([weights[name] * alone[name][position] for name in weights]).sum(dim=0)
        torch.testing.assert_close(total, wanted, rtol=1e-5, atol=1e-7)


def test_the_total_is_the_weighted_sum_of_the_raw_components():
    losses = example().losses({"use": "forward_kl", "weight": 0.7}, {"use": "cross_entropy", "weight": 0.2})
    kl, ce = losses.raw_K.tolist()
    assert losses.total.item() == pytest.approx(0.7 * kl + 0.2 * ce, rel=1e-15)


@both_variants
def test_a_component_of_weight_0_is_not_called_and_the_teacher_not_asked(losses_of: Any):
    class Mute:
        def chunk(self, tokens: slice, workspace: Workspace) -> Said:
            raise AssertionError("asked")

    made = replace(example(), losses_of=losses_of)
    made.said = Mute()  # type: ignore[assignment]
    silent, ce = made.losses({"use": "forward_kl", "weight": 0}, "cross_entropy"), made.losses("cross_entropy")
    assert silent.raw_K.tolist() == [0, *ce.raw_K.tolist()]
    for one, other in zip(made.gradients(silent), made.gradients(ce), strict=True):
        assert torch.equal(one, other)


def test_the_upstream_gradient_multiplies():
    made = example()
    once = made.gradients(made.losses("cross_entropy"))
    tripled = torch.autograd.grad(3 * made.losses("cross_entropy").total, made.inputs)
    for first, second in zip(once, tripled, strict=True):
        torch.testing.assert_close(3 * first, second)


def test_differentiating_twice_is_refused():
    losses = example().losses("cross_entropy")
    losses.total.backward(retain_graph=True)
    with pytest.raises(AssertionError, match="differentiated already"):
        losses.total.backward()


@both_variants
def test_a_frozen_head_gets_no_gradient_and_the_hidden_states_the_same(losses_of: Any):
    made = replace(example(bias=True), losses_of=losses_of)
    wanted, *_ = made.gradients(made.losses("cross_entropy"))
    assert made.head.bias_V is not None
    made.head = OutputHead(made.head.weight_VD.detach(), made.head.bias_V.detach())
    (found,) = made.gradients(made.losses("cross_entropy"))
    torch.testing.assert_close(found, wanted)


@both_variants
def test_frozen_hidden_states_leave_the_heads_gradient_the_same(losses_of: Any):
    made = replace(example(), losses_of=losses_of)
    _, wanted = made.gradients(made.losses("cross_entropy"))
    made.hidden_ND = made.hidden_ND.detach()
    (found,) = made.gradients(made.losses("cross_entropy"))
    torch.testing.assert_close(found, wanted)


def test_without_gradients_the_values_are_the_same():
    made = example()
    with torch.no_grad():
        losses = made.losses("jsd")
    assert not losses.total.requires_grad
    assert torch.equal(losses.raw_K, made.losses("jsd").raw_K)


@both_variants
@pytest.mark.parametrize("chosen", [[], ["jsd"], [{"use": "jsd", "temperature": 3.0}]])
def test_the_entropy_of_the_student_is_given_where_it_is_asked(losses_of: Any, chosen: list[Any]):
    made = replace(example(rule=LogitRule(softcap=5.0)), losses_of=losses_of)
    entropy_N = torch.full((N,), torch.nan)
    made.losses(*chosen, entropy_N=entropy_N)
    logits_NV = 5 * torch.tanh(made.hidden_ND.detach().double() @ made.head.weight_VD.detach().double().T / 5)
    wanted_N = torch.distributions.Categorical(logits=logits_NV).entropy()
    torch.testing.assert_close(entropy_N.double(), wanted_N, rtol=1e-5, atol=1e-6)


def test_two_losses_at_two_temperatures_do_not_disturb_one_another():
    made = example()
    hot, cold = {"use": "forward_kl", "temperature": 4.0}, {"use": "forward_kl", "temperature": 1.0}
    together = made.losses(hot, cold)
    assert together.raw_K[0] == made.losses(hot).raw_K[0]
    assert together.raw_K[1] == made.losses(cold).raw_K[0]


@both_variants
def test_no_supervised_token_gives_the_loss_0_and_the_gradient_0(losses_of: Any):
    made = replace(example(), losses_of=losses_of)
    made.hidden_ND = torch.zeros(0, D).requires_grad_()
    made.labels_N, made.weights_N = made.labels_N[:0], made.weights_N[:0]
    losses = made.losses("cross_entropy")
    _, weight_VD = made.gradients(losses)
    assert losses.total.item() == 0
    assert not weight_VD.any()
