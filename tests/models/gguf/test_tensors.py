from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from demiurgic.core.errors import UserError
from demiurgic.models.gguf.architecture import read_architecture
from demiurgic.models.gguf.tensors import interleave_halves, plan_tensors, planned_tensors, read_rows
from odd_tokenizers import change_json
from pretrained import FAMILIES, Family, pretrained


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small(tmp_path, "qwen3")


def small(tmp_path: Path, family: Family, **changes) -> Path:
    return pretrained(tmp_path / family, family, hidden_size=32, intermediate_size=32, **changes)


def change_weights(folder: Path, *, drop: tuple[str, ...] = (), **added: torch.Tensor) -> None:
    path = folder / "model.safetensors"
    weights = {name: tensor for name, tensor in load_file(path).items() if name not in drop}
    save_file(weights | added, path, metadata={"format": "pt"})


def check(folder: Path):
    architecture = read_architecture(folder)
    return planned_tensors(folder, plan_tensors(architecture), tied=architecture.tied)


def test_halves_of_a_head_become_neighbours():
    rows = torch.arange(8).reshape(8, 1)
    assert interleave_halves(rows, head_rows=4).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_plan_is_exactly_what_a_model_holds(family: Family, tmp_path: Path):
    folder = small(tmp_path, family)
    plans = {plan.source: plan.shape for plan in plan_tensors(read_architecture(folder))}
    stored = {name: tuple(tensor.shape) for name, tensor in load_file(folder / "model.safetensors").items()}
    assert plans == stored


def test_biases_of_llama_are_planned(tmp_path: Path):
    folder = small(tmp_path, "llama3", attention_bias=True, mlp_bias=True)
    assert len(check(folder)) == 3 + 2 * (9 + 7)


def test_rows_are_read_where_they_lie(folder: Path):
    name = "model.layers.1.mlp.down_proj.weight"
    rows = read_rows(check(folder)[name], start=3, stop=7)
    assert torch.equal(rows, load_file(folder / "model.safetensors")[name][3:7])


def test_a_missing_tensor_is_named(folder: Path):
    change_weights(folder, drop=("model.layers.1.self_attn.k_norm.weight",))
    with pytest.raises(UserError, match="tensors missing: model.layers.1.self_attn.k_norm.weight"):
        check(folder)


def test_a_tensor_that_would_be_dropped_is_named(folder: Path):
    change_weights(folder, **{"model.layers.0.self_attn.q_proj.bias": torch.zeros(256)})
    with pytest.raises(UserError, match="no part of the architecture: model.layers.0.self_attn.q_proj.bias"):
        check(folder)


def test_a_tensor_of_another_shape_is_named(folder: Path):
    change_weights(folder, **{"model.norm.weight": torch.zeros(33)})
    with pytest.raises(UserError, match=r"model.norm.weight has the shape \(33,\) where config.json promises \(32,\)"):
        check(folder)


def test_weights_stored_as_integers_are_refused(folder: Path):
    change_weights(folder, **{"model.norm.weight": torch.zeros(32, dtype=torch.int8)})
    with pytest.raises(UserError, match="model.norm.weight is stored as I8; wanted one of F32, BF16, F16"):
        check(folder)


def test_buffers_that_follow_from_the_config_are_passed_over(folder: Path):
    change_weights(folder, **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(32)})
    assert "model.layers.0.self_attn.rotary_emb.inv_freq" not in check(folder)


def test_a_stored_copy_of_a_tied_embedding_is_passed_over(folder: Path):
    embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    change_weights(folder, **{"lm_head.weight": embedding.clone()})
    assert "lm_head.weight" not in check(folder)


def test_a_stored_head_that_is_not_the_tied_embedding_is_refused(folder: Path):
    embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    change_weights(folder, **{"lm_head.weight": embedding + 1})
    with pytest.raises(UserError, match="stores a lm_head.weight that differs from the embedding"):
        check(folder)
    change_json(folder / "config.json", tie_word_embeddings=False)
    assert "lm_head.weight" in check(folder)


def test_a_folder_without_weights_is_refused(folder: Path):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="holds no weights in safetensors"):
        check(folder)
