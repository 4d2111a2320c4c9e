"""How sure a model is of its likeliest next token, against its own logits."""

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from transformers import LlamaConfig, LlamaForCausalLM

from demiurgic.models.confidence import token_confidence
from demiurgic.models.likelihood import token_nats

IDS = torch.tensor([[5, 9, 7, 20, 21, 22, 0, 0], [30, 31, 32, 33, 34, 35, 36, 37]])
DOCUMENTS = torch.tensor([[1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1]])
WANTED = torch.tensor([[1, 1, 1, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1, 1]], dtype=torch.bool)


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=48, initializer_range=0.3, **shape)).eval()


@pytest.mark.parametrize(("vocab_size", "words"), [(None, 48), (40, 40)])
def test_it_is_the_highest_probability_among_the_words(model: LlamaForCausalLM, vocab_size: int | None, words: int):
    found = token_confidence(model, IDS, documents_BT=DOCUMENTS, wanted_BT=WANTED, vocab_size=vocab_size, chunk=3)
    with torch.no_grad():
        highest = model(IDS).logits[:, :-1, :words].softmax(dim=-1).max(dim=-1)
    asked_BT = (WANTED & (DOCUMENTS > 0))[:, 1:]
    torch.testing.assert_close(found.probability_BT[:, 1:], highest.values * asked_BT)
    assert torch.equal(found.is_right_BT[:, 1:], (highest.indices == IDS[:, 1:]) & asked_BT)
    assert torch.equal(found.asked_BT[:, 1:], asked_BT)
    assert not found.asked_BT[:, 0].any()


@pytest.mark.parametrize("ask", [token_confidence, token_nats])
def test_a_head_with_an_adapter_is_not_read_as_if_it_had_none(model: LlamaForCausalLM, ask):
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["lm_head"]), model)
    with pytest.raises(AssertionError, match="merge it first"):
        ask(model, IDS, documents_BT=DOCUMENTS, wanted_BT=WANTED)
