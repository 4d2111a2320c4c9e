from pathlib import Path
from typing import Any

import pytest
import torch

from demiurgic.core.errors import UserError
from demiurgic.models.compare import divergence
from demiurgic.models.gguf.architecture import Rope, read_architecture
from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.write import write_gguf
from demiurgic.models.load import load_model
from gguf_files import fields_of, values_of
from odd_tokenizers import change_json
from pretrained import Family, pretrained

ORIGINAL = 128
LINEAR = {"rope_type": "linear", "factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": ORIGINAL}
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": ORIGINAL,
}  # fmt: skip


def stretched(rope: dict[str, Any]) -> dict[str, Any]:
    return {"rope_parameters": {"rope_theta": 10_000.0, **rope}}


def distance(folder: Path, file: Path) -> float:
    """Mean KL of the file to the model of the folder, over a text longer than the original context."""
    ids = torch.randint(0, 300, (300,), generator=torch.Generator().manual_seed(0)).tolist()
    with torch.no_grad():
        logits_TV = load_model(folder, device="cpu")(torch.tensor([ids])).logits[0]
    with Llama(file, context=512, threads=1) as llama:
        return divergence([(logits_TV, torch.from_numpy(llama.logits_TV(ids)))]).mean_kl


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama3", stretched(LINEAR)), ("qwen2", stretched(LINEAR)), ("llama3", stretched(LLAMA3)),
        ("mistral", stretched(LLAMA3)), ("llama3", stretched(YARN)), ("qwen2", stretched(YARN)),
        ("qwen3", stretched(YARN)), ("llama3", {"attention_bias": True, "mlp_bias": True}),
        ("qwen3", {"head_dim": 128}), ("llama3", {"head_dim": 32, "tie_word_embeddings": True}),
        ("mistral", {"sliding_window": 512}), ("llama3", {"rms_norm_eps": 1e-2}),
    ],
)  # fmt: skip
def test_the_file_computes_what_the_config_says(family: Family, changes: dict[str, Any], tmp_path: Path):
    folder = pretrained(tmp_path / family, family, **changes)
    file = write_gguf(folder, tmp_path / "model.gguf", type="f32", name="tiny").file
    assert distance(folder, file) < 1e-7
    # The same weights under a config without the change are another model: the proof above can fail.
    if "rope_parameters" in changes:
        change_json(folder / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 10_000.0})
        assert distance(folder, file) > 1e-3


def test_llama_3s_stretching_is_a_tensor_of_factors(tmp_path: Path):
    folder = pretrained(tmp_path / "llama3", "llama3", num_hidden_layers=1, **stretched(LLAMA3))
    written = write_gguf(folder, tmp_path / "model.gguf", type="q8_0", name="tiny")
    factors = values_of(written.file)["rope_freqs.weight"]
    assert factors.shape == (32,)
    assert (factors[0], factors[-1]) == (1.0, 8.0)
    assert (factors[:-1] <= factors[1:]).all() and ((factors > 1) & (factors < 8)).any()


def test_linear_and_yarn_stretching_are_metadata(tmp_path: Path):
    folder = pretrained(tmp_path / "qwen2", "qwen2", num_hidden_layers=1, **stretched(YARN))
    fields = fields_of(write_gguf(folder, tmp_path / "model.gguf", type="q8_0", name="tiny").file)
    scaling = {key.rpartition(".")[2]: value for key, value in fields.items() if ".rope.scaling." in key}
    assert scaling == {"type": "yarn", "factor": 4.0, "original_context_length": ORIGINAL}


def test_the_older_spelling_of_a_config_means_the_same(tmp_path: Path):
    folder = pretrained(tmp_path / "llama3", "llama3", num_hidden_layers=1, **stretched(LLAMA3))
    new = read_architecture(folder)
    change_json(folder / "config.json", rope_parameters=None, rope_theta=10_000.0, rope_scaling=LLAMA3)
    assert read_architecture(folder) == new
    assert new.rope == Rope("llama3", 10_000.0, 8.0, 1.0, 4.0, ORIGINAL)


def test_a_window_shorter_than_the_context_is_refused(tmp_path: Path):
    folder = pretrained(tmp_path / "mistral", "mistral", num_hidden_layers=1, sliding_window=64)
    with pytest.raises(UserError, match="attends to the last 64 tokens of 512.*Set max_position_embeddings"):
        read_architecture(folder)
    change_json(folder / "config.json", max_position_embeddings=64)
    assert read_architecture(folder).context == 64


def test_a_window_that_qwen_does_not_use_is_none(tmp_path: Path):
    folder = pretrained(tmp_path / "qwen2", "qwen2", num_hidden_layers=1)
    change_json(folder / "config.json", sliding_window=64, use_sliding_window=False)
    assert read_architecture(folder).context == 512


def test_a_window_on_some_layers_is_refused(tmp_path: Path):
    folder = pretrained(tmp_path / "qwen3", "qwen3", num_hidden_layers=2)
    layers = ["full_attention", "sliding_attention"]
    change_json(folder / "config.json", sliding_window=64, use_sliding_window=True, layer_types=layers)
    with pytest.raises(UserError, match="attends to the last 64 tokens"):
        read_architecture(folder)


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        (
            "llama3",
            {"architectures": ["OPTForCausalLM"]},
            "architecture OPTForCausalLM; supported are LlamaForCausalLM",
        ),
        ("llama3", {"hidden_act": "gelu"}, "computes with gelu"),
        ("llama3", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "are quantized already"),
        ("qwen3", {"attention_bias": True}, "has attention_bias"),
        ("qwen2", stretched(LLAMA3), "by llama3, which a GGUF of the architecture qwen2"),
        ("llama3", stretched({"rope_type": "dynamic", "factor": 2.0}), "by dynamic"),
        ("llama3", stretched({**YARN, "beta_fast": 16.0}), "sets beta_fast of yarn"),
        ("llama3", stretched({**YARN, "mscale": 0.7, "mscale_all_dim": 0.7}), "sets mscale, mscale_all_dim of yarn"),
        ("llama3", stretched({"partial_rotary_factor": 0.5}), "turns only a part of each head"),
    ],
)
def test_what_a_file_cannot_say_is_refused(family: Family, changes: dict[str, Any], reason: str, tmp_path: Path):
    folder = pretrained(tmp_path / family, family, num_hidden_layers=1, hidden_size=32, intermediate_size=32)
    change_json(folder / "config.json", **changes)
    with pytest.raises(UserError, match=reason):
        read_architecture(folder)


def test_a_folder_without_a_config_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="config.json is missing"):
        read_architecture(tmp_path)


def test_a_config_that_describes_no_model_is_refused(tmp_path: Path):
    folder = pretrained(tmp_path / "llama3", "llama3", num_hidden_layers=1, hidden_size=32, intermediate_size=32)
    change_json(folder / "config.json", hidden_size="wide")
    with pytest.raises(UserError, match="describes no model that can be built"):
        read_architecture(folder)


def test_a_config_that_leaves_out_its_defaults_is_read_with_them(tmp_path: Path):
    folder = pretrained(tmp_path / "llama3", "llama3", num_hidden_layers=1, hidden_size=256, head_dim=64)
    change_json(folder / "config.json", rope_parameters=None, head_dim=None, num_key_value_heads=None)
    found = read_architecture(folder)
    assert (found.rope, found.head_dim, found.num_kv_heads) == (Rope("default", 10_000.0), 64, 4)
