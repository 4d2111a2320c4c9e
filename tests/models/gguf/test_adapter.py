import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from demiurgic.core.errors import UserError
from demiurgic.models.compare import divergence
from demiurgic.models.gguf.adapter import write_adapter_gguf
from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.write import write_gguf
from demiurgic.models.load import load_model
from demiurgic.models.lora import ADAPTER_WEIGHTS, PREFIX, apply_adapter, read_updates
from gguf_files import fields_of, values_of
from pretrained import FAMILIES, Family, pretrained
from tiny_adapters import change_config, peft_adapter, pretrained_base

IDS = torch.randint(0, 300, (96,), generator=torch.Generator().manual_seed(0)).tolist()
PATTERNS = {"rank_pattern": {"q_proj": 2, "layers.1.mlp.down_proj": 8}, "alpha_pattern": {"v_proj": 40}}


def divergences(base: Path, adapter: Path, tmp_path: Path, *, type: str = "f32") -> tuple[float, float]:
    """Mean KL to PEFT's adapted model: of the two files together, and of the base's alone (the adapter's effect)."""
    with torch.no_grad():
        model = apply_adapter(load_model(base, device="cpu"), adapter)
        wanted_TV = model(torch.tensor([IDS])).logits[0]
    file = write_gguf(base, tmp_path / "base.gguf", type="f32", name="base").file
    update = write_adapter_gguf(adapter, base, tmp_path / "adapter.gguf", type=type).file
    found = []
    for adapters in ((update,), ()):
        with Llama(file, context=128, threads=1, adapters=adapters) as llama:
            found.append(divergence([(wanted_TV, torch.from_numpy(llama.logits_TV(IDS)))]).mean_kl)
    return found[0], found[1]


def head_adapter(folder: Path, base: Path) -> Path:
    """An adapter that updates the output matrix alone."""
    adapter = peft_adapter(folder, base, target_modules=["q_proj"])
    vocab = json.loads((base / "config.json").read_text())["vocab_size"]
    draw = torch.Generator().manual_seed(0)
    halves = {"A": torch.randn(4, 256, generator=draw), "B": torch.randn(vocab, 4, generator=draw) / 10}
    tensors = {f"{PREFIX}lm_head.lora_{half}.weight": tensor for half, tensor in halves.items()}
    save_file(tensors, adapter / ADAPTER_WEIGHTS)
    return change_config(adapter, target_modules=["lm_head"])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained_base(tmp_path_factory.mktemp("adapter"), "llama3")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_does_what_peft_does(family: Family, tmp_path: Path):
    base = pretrained_base(tmp_path / "base", family)
    kl, effect = divergences(base, peft_adapter(tmp_path / "adapter", base), tmp_path)
    assert effect > 1e-3
    assert kl < 1e-7


@pytest.mark.parametrize(
    "options",
    [
        {"use_rslora": True}, PATTERNS, {**PATTERNS, "use_rslora": True}, {"lora_alpha": 1},
        {"target_modules": ["q_proj", "k_proj"]},
    ],
)  # fmt: skip
def test_every_kind_of_scaling_is_peft_s(base: Path, tmp_path: Path, options: dict[str, Any]):
    kl, effect = divergences(base, peft_adapter(tmp_path, base, **options), tmp_path)
    assert kl < effect * 1e-5


def test_halves_are_enough_for_an_adapter(base: Path, tmp_path: Path):
    kl, effect = divergences(base, peft_adapter(tmp_path, base), tmp_path, type="f16")
    assert 0 < kl < effect * 1e-3


def test_the_true_scaling_is_in_b_and_alpha_is_zero(base: Path, tmp_path: Path):
    adapter = peft_adapter(tmp_path, base, use_rslora=True, target_modules=["v_proj"])
    written = write_adapter_gguf(adapter, base, tmp_path / "adapter.gguf", name="mine")
    fields, values = fields_of(written.file), values_of(written.file)
    assert (fields["general.type"], fields["adapter.type"], fields["general.name"]) == ("adapter", "lora", "mine")
    assert fields["adapter.lora.alpha"] == 0.0
    assert fields["general.architecture"] == "llama"
    assert list(values) == [f"blk.{n}.attn_v.weight.lora_{half}" for n in range(2) for half in "ab"]
    update = next(iter(read_updates(adapter)))
    assert update.scaling == 4.0  # 8 / sqrt(4)
    np.testing.assert_array_equal(values["blk.0.attn_v.weight.lora_a"], update.a_RI.numpy())
    np.testing.assert_array_equal(values["blk.0.attn_v.weight.lora_b"], 4 * update.b_OR.numpy())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"], "target_modules": ["q_proj"]}, "modules trained whole"),
        ({"bias": "lora_only"}, "trained biases"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_with_the_way_out(
    base: Path, tmp_path: Path, options: dict[str, Any], reason: str
):
    adapter = change_config(peft_adapter(tmp_path, base), **options)
    with pytest.raises(UserError, match=f"{reason}.*cannot hold. Merge it into its base"):
        write_adapter_gguf(adapter, base, tmp_path / "adapter.gguf")
    assert not (tmp_path / "adapter.gguf").exists()


def test_an_update_of_the_output_matrix_is_what_peft_makes_of_it(base: Path, tmp_path: Path):
    kl, effect = divergences(base, head_adapter(tmp_path, base), tmp_path)
    assert kl < effect * 1e-5


def test_an_update_of_a_tied_head_is_refused(base: Path, tmp_path: Path):
    adapter = head_adapter(tmp_path, base)
    tied = pretrained(tmp_path / "tied", "llama3", tie_word_embeddings=True)
    with pytest.raises(UserError, match="output matrix is its token embedding.*Merge it"):
        write_adapter_gguf(adapter, tied, tmp_path / "adapter.gguf")


def test_an_adapter_of_another_base_is_refused(base: Path, tmp_path: Path):
    adapter = peft_adapter(tmp_path, base)
    wider = pretrained(tmp_path / "wider", "llama3", intermediate_size=512)
    with pytest.raises(UserError, match=r"as a matrix of \(256, 256\), and the base's has .*for another base"):
        write_adapter_gguf(adapter, wider, tmp_path / "adapter.gguf")
    shallow = pretrained(tmp_path / "shallow", "llama3", num_hidden_layers=1)
    with pytest.raises(UserError, match=r"updates model.layers.1.* cannot. Merge it"):
        write_adapter_gguf(adapter, shallow, tmp_path / "adapter.gguf")


def test_an_adapter_is_not_quantized(base: Path, tmp_path: Path):
    with pytest.raises(UserError, match='no type of a GGUF adapter "q8_0"'):
        write_adapter_gguf(peft_adapter(tmp_path, base), base, tmp_path / "adapter.gguf", type="q8_0")


def test_a_matrix_beyond_f16_is_told_the_type_that_adapters_have(base: Path, tmp_path: Path):
    adapter = peft_adapter(tmp_path, base, strength=1e7)
    with pytest.raises(UserError, match=r"lora_b holds a weight of .* beyond f16's 65504. Use f32"):
        write_adapter_gguf(adapter, base, tmp_path / "adapter.gguf", type="f16")
    assert write_adapter_gguf(adapter, base, tmp_path / "adapter.gguf", type="f32").file.exists()
