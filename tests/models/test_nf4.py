"""What a 4-bit layer computes with, from the original weights."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from demiurgic.core.errors import UserError
from demiurgic.models.load import load_model
from demiurgic.models.lora import block_linears
from demiurgic.models.nf4 import dequantize_blocks, dequantized, load_nf4
from pretrained import FAMILIES, Family, pretrained

IDS = torch.arange(24).reshape(2, 12)


@pytest.mark.parametrize("family", FAMILIES)
def test_dequantized_weights_predict_what_the_4_bit_model_predicts(family: Family, tmp_path: Path):
    folder = pretrained(tmp_path, family)
    held, plain = load_nf4(folder, device="cpu"), load_model(folder, device="cpu")
    with torch.no_grad():
        before = plain(IDS).logits
        dequantize_blocks(plain)
        torch.testing.assert_close(held(IDS).logits, plain(IDS).logits, rtol=1e-4, atol=1e-3)
        assert not torch.allclose(before, plain(IDS).logits, atol=0.1)


def test_only_linear_layers_of_the_blocks_are_held_in_4_bits(tmp_path: Path):
    from bitsandbytes.nn import Linear4bit

    folder = pretrained(tmp_path, "qwen2")
    held = load_nf4(folder, device="cpu")
    found = [name for name, layer in held.named_modules() if isinstance(layer, Linear4bit)]
    assert found == block_linears(load_model(folder, device="cpu"))


def test_a_forward_pass_does_not_change_what_the_next_one_predicts(tmp_path: Path):
    held = load_nf4(pretrained(tmp_path), device="cpu")
    codes = held.model.layers[0].mlp.up_proj.weight.data.clone()
    with torch.no_grad():
        assert torch.equal(held(IDS).logits, held(IDS).logits)
    assert torch.equal(held.model.layers[0].mlp.up_proj.weight.data, codes)


def test_a_block_of_64_weights_takes_at_most_16_values():
    weight_OI = torch.randn(8, 128, generator=torch.Generator().manual_seed(0))
    for block in dequantized(weight_OI).reshape(-1, 64):
        assert len(block.unique()) <= 16


def test_weights_stored_in_bf16_give_the_same_codes_in_fp32():
    weight_OI = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(dequantized(weight_OI), dequantized(weight_OI.float()))


@pytest.mark.parametrize("field", ["quantization_config", "compression_config"])
def test_a_model_that_is_stored_quantized_is_refused(tmp_path: Path, field: str):
    folder = pretrained(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, field: {"quant_method": "awq"}}))
    with pytest.raises(UserError, match=r"quantized already \(awq\)"):
        load_nf4(folder, device="cpu")


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("model.embed_tokens.weight", None, "missing keys: .*model.embed_tokens.weight"),
        ("model.layers.0.mlp.up_proj.weight", None, "missing keys: model.layers.0.mlp.up_proj.weight"),
        ("model.norm.weight", torch.ones(3), "mismatched keys: .*model.norm.weight"),
        ("model.layers.0.mlp.up_proj.weight", torch.ones(64, 64), "mismatched keys: .*up_proj.weight"),
        ("model.stray.weight", torch.ones(3), "unexpected keys: model.stray.weight"),
    ],
)
def test_weights_that_do_not_fit_the_config_are_refused(
    tmp_path: Path, name: str, values: torch.Tensor | None, words: str
):
    folder = pretrained(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(name, None)
    save_file(tensors if values is None else {**tensors, name: values}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=words):
        load_nf4(folder, device="cpu")


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="holds no model: config.json is missing"):
        load_nf4(tmp_path, device="cpu")
