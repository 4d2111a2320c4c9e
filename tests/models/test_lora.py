"""Adapter folders that PEFT wrote, read without it: scalings, updates, bases, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

from demiurgic.core.errors import UserError
from demiurgic.models.load import load_model
from demiurgic.models.lora import (
    ADAPTER_WEIGHTS,
    BaseFacts,
    LoraSpec,
    apply_adapter,
    block_linears,
    block_linears_of,
    read_base,
    read_updates,
    write_base,
)
from pretrained import FAMILIES, Family
from tiny_adapters import change_config, peft_adapter, pretrained_base

PATTERNS: list[dict[str, Any]] = [
    {},
    {"use_rslora": True, "r": 8},
    {"alpha_pattern": {"q_proj": 32, "layers.1.mlp.down_proj": 1}, "rank_pattern": {"layers.0.*k_proj": 2}},
    {"use_rslora": True, "rank_pattern": {".*_proj": 3}, "alpha_pattern": {"model.layers.0.self_attn.o_proj": 5}},
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapter(tmp_path_factory.mktemp("adapter"), base)


@pytest.fixture
def copy(adapter: Path, tmp_path: Path) -> Path:
    """An adapter that a test may damage."""
    import shutil

    return shutil.copytree(adapter, tmp_path / "adapter")


def change_tensors(part: Path, **changes: Any) -> None:
    """Rename, replace or drop (None) tensors of an adapter."""
    tensors = load_file(part / ADAPTER_WEIGHTS)
    for name, value in changes.items():
        tensors.pop(name, None)
        if value is not None:
            tensors[name] = value
    save_file(tensors, part / ADAPTER_WEIGHTS)


@pytest.mark.parametrize("options", PATTERNS)
def test_scalings_ranks_and_updates_are_those_peft_computes_with(base: Path, tmp_path: Path, options: dict[str, Any]):
    part = peft_adapter(tmp_path, base, **options)
    spec, updates = LoraSpec.read(part), {update.module: update for update in read_updates(part)}
    model = apply_adapter(load_model(base, device="cpu"), part)
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}
    assert updates.keys() == layers.keys()
    for module, layer in layers.items():
        assert spec.scaling_of(module) == layer.scaling["default"]
        assert spec.rank_of(module) == layer.r["default"] == updates[module].a_RI.shape[0]
        torch.testing.assert_close(updates[module].delta_OI(), layer.get_delta_weight("default"))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_applied_model_keeps_its_class_and_changes_what_it_says(family: Family, tmp_path: Path):
    base = pretrained_base(tmp_path, family)
    part = peft_adapter(tmp_path, base)
    model = load_model(base, device="cpu")
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        before = model(ids).logits
        applied = apply_adapter(model, part)
        assert type(applied) is type(load_model(base, device="cpu"))
        assert not torch.allclose(applied(ids).logits, before, atol=1e-2)


def test_updates_come_one_by_one_in_order(adapter: Path):
    modules = [update.module for update in read_updates(adapter)]
    assert modules == sorted(modules)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_linear_layers_of_the_blocks_are_known_from_the_config(family: Family, tmp_path: Path):
    base = pretrained_base(tmp_path, family)
    found = block_linears_of(base)
    assert found == block_linears(load_model(base, device="cpu"))
    assert len(found) == 2 * 7
    assert not any("head" in name or "embed" in name for name in found)


def test_what_is_known_of_the_base_comes_back(tmp_path: Path):
    facts = BaseFacts("abc", "nf4", "someone/small", "0" * 40, proven=False)
    write_base(tmp_path, facts)
    assert read_base(tmp_path) == facts


class TestMoreThanPlain:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"use_dora": True}, "DoRA"),
            ({"bias": "lora_only"}, "trained biases"),
            ({"modules_to_save": ["lm_head"]}, "modules trained whole .lm_head."),
            ({"init_lora_weights": "pissa_niter_16"}, "changes the base"),
            ({"lora_bias": True}, "lora_bias"),
            ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ],
    )
    def test_it_is_named(self, copy: Path, changes: dict[str, Any], words: str):
        import re

        found = LoraSpec.read(change_config(copy, **changes)).beyond_plain
        assert len(found) == 1
        assert re.search(words, found[0])

    def test_a_harmless_initialisation_is_plain(self, copy: Path):
        assert LoraSpec.read(change_config(copy, init_lora_weights="gaussian")).beyond_plain == []


class TestDamage:
    NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_"

    def test_no_folder_of_an_adapter(self, tmp_path: Path):
        with pytest.raises(UserError, match="holds no adapter: adapter_config.json is missing"):
            LoraSpec.read(tmp_path)

    def test_another_kind_of_adapter(self, copy: Path):
        with pytest.raises(UserError, match="type IA3; only LORA"):
            LoraSpec.read(change_config(copy, peft_type="IA3"))

    def test_a_config_without_a_rank(self, copy: Path):
        with pytest.raises(UserError, match="is damaged"):
            LoraSpec.read(change_config(copy, r=None))

    def test_weights_as_a_pickle_only(self, copy: Path):
        (copy / ADAPTER_WEIGHTS).unlink()
        with pytest.raises(UserError, match="Save the adapter with safetensors"):
            list(read_updates(copy))

    def test_weights_that_end_early(self, copy: Path):
        (copy / ADAPTER_WEIGHTS).write_bytes((copy / ADAPTER_WEIGHTS).read_bytes()[:200])
        with pytest.raises(UserError, match="is damaged"):
            list(read_updates(copy))

    def test_a_tensor_that_is_no_update(self, copy: Path):
        change_tensors(copy, **{"base_model.model.model.embed_tokens.weight": torch.zeros(2, 2)})
        with pytest.raises(UserError, match="embed_tokens.weight, which is no LoRA update"):
            list(read_updates(copy))

    def test_half_an_update(self, copy: Path):
        change_tensors(copy, **{f"{self.NAME}B.weight": None})
        with pytest.raises(UserError, match="q_proj has only lora_A"):
            list(read_updates(copy))

    def test_a_rank_that_is_not_the_configs(self, copy: Path):
        change_config(copy, r=5)
        with pytest.raises(UserError, match="its config says rank 5"):
            list(read_updates(copy))

    def test_numbers_that_are_not_finite(self, copy: Path):
        change_tensors(copy, **{f"{self.NAME}B.weight": torch.full((256, 4), float("nan"))})
        with pytest.raises(UserError, match="numbers that are not finite"):
            list(read_updates(copy))

    def test_no_word_on_the_base(self, copy: Path):
        (copy / "base.json").unlink()
        with pytest.raises(UserError, match="does not say which base"):
            read_base(copy)

    def test_an_unknown_precision(self, copy: Path):
        data = json.loads((copy / "base.json").read_text())
        (copy / "base.json").write_text(json.dumps({**data, "precision": "int8"}))
        with pytest.raises(UserError, match="precision 'int8'; wanted one of fp32, bf16, fp16, nf4"):
            read_base(copy)

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"base_digest": None}, "base_digest is null"),
            ({"revision": 7}, "revision is 7"),
            ({"proven": "no"}, 'proven is "no"'),
            ({"precison": "nf4"}, 'precison is "nf4"'),
        ],
    )
    def test_facts_of_another_kind(self, copy: Path, changes: dict[str, Any], found: str):
        data = json.loads((copy / "base.json").read_text())
        (copy / "base.json").write_text(json.dumps({**data, **changes}))
        with pytest.raises(UserError, match=rf"base.json is damaged \({found}\)"):
            read_base(copy)

    def test_tensors_that_peft_would_pass_over_in_silence(self, base: Path, copy: Path):
        change_config(copy, target_modules=["q_proj"])
        with pytest.raises(UserError, match="updated and not adapted"):
            apply_adapter(load_model(base, device="cpu"), copy)

    def test_an_adapter_of_a_wider_model(self, copy: Path, tmp_path: Path):
        narrow = pretrained_base(tmp_path / "narrow", hidden_size=128)
        with pytest.raises(UserError, match="does not fit this llama model"):
            apply_adapter(load_model(narrow, device="cpu"), copy)
