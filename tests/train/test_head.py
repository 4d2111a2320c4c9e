"""The heads of real architectures: bias, scale, soft cap and LoRA, against the model's own logits."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    LlamaConfig,
    PhiConfig,
    PreTrainedModel,
)

from demiurgic.models.head import output_head
from demiurgic.models.likelihood import token_nats
from demiurgic.models.precision import native_bf16
from demiurgic.train.checkpointed_loss import checkpointed_losses, needs_checkpointing
from demiurgic.train.chunk import Workspace
from demiurgic.train.head import Head
from demiurgic.train.head_loss import head_losses
from demiurgic.train.walk import Losses, Supervised
from tiny_training import components

V = 48
SHAPE: dict[str, Any] = {
    "vocab_size": V,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
CONFIGS = {
    "gemma2": Gemma2Config(**SHAPE, head_dim=8, final_logit_softcapping=0.2),
    "cohere": CohereConfig(**SHAPE, logit_scale=0.0625),
    "granite": GraniteConfig(**SHAPE, logits_scaling=8.0),
    "phi": PhiConfig(**SHAPE),
    "llama": LlamaConfig(**SHAPE),
}


def model_of(name: str) -> PreTrainedModel:
    torch.manual_seed(1)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(CONFIGS[name], attn_implementation="eager").eval()
    head = model.get_output_embeddings()
    if head.bias is not None:
        torch.nn.init.normal_(head.bias)
    torch.nn.init.normal_(head.weight, std=0.3)
    return model


needs_bf16 = pytest.mark.skipif(not native_bf16(torch.device("cpu")), reason="in fp32 on a processor without bf16")
IDS_BT = torch.arange(24).reshape(2, 12) % V
every_head = pytest.mark.parametrize("name", CONFIGS)


def hidden_states_of(model: PreTrainedModel) -> Tensor:
    """[N,D]; differentiable."""
    hidden_ND: Tensor = model.get_decoder()(input_ids=IDS_BT, use_cache=False).last_hidden_state.flatten(0, 1)
    return hidden_ND


def gradients(model: PreTrainedModel, total: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    total.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def with_lora(model: PreTrainedModel) -> PreTrainedModel:
    """A LoRA on the head and nothing else trained."""
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(LoraConfig(r=3, lora_alpha=5, target_modules=["lm_head"]), model)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(3))
    return model


def losses_of(model: PreTrainedModel, variant: Callable[..., Losses]) -> Losses:
    tokens = Supervised(IDS_BT.flatten().flip(0), torch.full((24,), 1 / 24), None)
    hidden_ND = hidden_states_of(model)
    return variant(hidden_ND, output_head(model), tokens, components=components("cross_entropy"), workspace=Workspace())


@every_head
def test_logits_are_those_of_the_model(name: str):
    model = model_of(name)
    with torch.no_grad():
        wanted_NV = model(input_ids=IDS_BT).logits.flatten(0, 1)
        hidden_ND = hidden_states_of(model)
        found_NV = Head(output_head(model), bf16=False).logits(hidden_ND, lend=lambda: torch.empty(24, V))
    torch.testing.assert_close(found_NV, wanted_NV, rtol=1e-5, atol=1e-6)


@every_head
@pytest.mark.parametrize("variant", [head_losses, checkpointed_losses])
def test_the_whole_models_gradient_is_that_of_its_own_logits(variant: Callable[..., Losses], name: str):
    model = model_of(name)
    logits_NV = model(input_ids=IDS_BT).logits.flatten(0, 1)
    plain = torch.nn.functional.cross_entropy(logits_NV, IDS_BT.flatten().flip(0))
    wanted = gradients(model, plain)
    losses = losses_of(model, variant)
    found = gradients(model, losses.total)
    assert losses.total.item() == pytest.approx(plain.item(), rel=1e-6)
    assert found.keys() == wanted.keys()
    for weight, gradient in wanted.items():
        torch.testing.assert_close(found[weight], gradient, rtol=1e-4, atol=1e-6)


@every_head
def test_the_nats_of_a_token_are_those_of_the_models_own_logits(name: str):
    model = model_of(name)
    nats_BT = token_nats(model, IDS_BT, documents_BT=torch.ones_like(IDS_BT))
    with torch.no_grad():
        log_BTV = model(input_ids=IDS_BT).logits.log_softmax(-1)
    wanted_BT = -log_BTV[:, :-1].gather(2, IDS_BT[:, 1:, None])[..., 0]
    torch.testing.assert_close(nats_BT[:, 1:], wanted_BT, rtol=1e-5, atol=1e-5)


@needs_bf16
def test_the_gradient_of_the_hidden_states_is_rounded_to_bf16_in_the_product_alone():
    """What a token weighs is multiplied in fp32."""
    found_ND = Head(output_head(model_of("llama")), bf16=True).hidden_gradient(torch.randn(24, V))
    assert found_ND.dtype == torch.float32


def test_a_plain_head_needs_no_checkpointing():
    assert not needs_checkpointing(model_of("phi"))


@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=needs_bf16)])
@pytest.mark.parametrize("name", ["llama", "phi"])
def test_a_lora_on_the_head_is_trained(name: str, bf16: bool):
    pytest.importorskip("peft")
    model = with_lora(model_of(name))
    assert needs_checkpointing(model)
    logits_NV = model(input_ids=IDS_BT).logits.flatten(0, 1)
    wanted = gradients(model, torch.nn.functional.cross_entropy(logits_NV, IDS_BT.flatten().flip(0)))

    def variant(*arguments: Any, **more: Any) -> Losses:
        return checkpointed_losses(*arguments, **more, bf16=bf16)

    found = gradients(model, losses_of(model, variant).total)
    assert sorted(found) == sorted(wanted) == sorted(n for n, p in model.named_parameters() if p.requires_grad)
    for weight, gradient in wanted.items():
        assert (found[weight] - gradient).norm() <= (1e-2 if bf16 else 1e-5) * gradient.norm()


def test_a_head_that_carries_a_lora_is_refused_where_it_would_be_passed_over():
    pytest.importorskip("peft")
    with pytest.raises(AssertionError, match="checkpointed_loss"):
        losses_of(with_lora(model_of("llama")), head_losses)


def test_dropout_of_a_lora_on_the_head_is_the_same_in_the_backward_pass():
    pytest.importorskip("peft")
    model = with_lora(model_of("llama"))
    model.lm_head.lora_dropout["default"] = torch.nn.Dropout(0.5)
    model.train()
    totals, found = [], []
    for _ in range(2):
        torch.manual_seed(8)
        losses = losses_of(model, checkpointed_losses)
        torch.manual_seed(9)
        totals.append(losses.total.item())
        found.append(gradients(model, losses.total)["lm_head.lora_B.default.weight"])
    assert totals[0] == totals[1]
    # along a direction the value changes as the gradient says, only with the same words dropped
    weight, step = model.lm_head.lora_B["default"].weight, 1e-3
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            weight.add_(sign * step * found[0])
            torch.manual_seed(8)
            values.append(losses_of(model, checkpointed_losses).total.item())
            weight.sub_(sign * step * found[0])
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(float(found[0].square().sum()), rel=1e-2)
