import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from demiurgic.core.errors import UserError
from demiurgic.models.gguf import write
from demiurgic.models.gguf.tensors import source_bytes
from demiurgic.models.gguf.write import write_gguf
from gguf_files import fields_of, types_of, values_of
from pretrained import FAMILIES, Family, pretrained
from tiny_adapters import store_as
from tiny_models import tiny_model

NAMES = {
    "embed_tokens": "token_embd", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
}  # fmt: skip


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


@pytest.fixture(scope="module")
def folder(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained(tmp_path_factory.mktemp("write") / family, family)


@pytest.fixture
def llama3(tmp_path: Path) -> Path:
    return pretrained(tmp_path / "llama3", "llama3", num_hidden_layers=1)


def in_llama_cpps_names(weights: dict[str, torch.Tensor], *, family: Family, head_dim: int = 64) -> dict[str, Any]:
    """transformers' tensors under GGUF's names, rows of q and k interleaved where the architecture is `llama`."""
    found = {}
    for source, tensor in weights.items():
        name = source.removeprefix("model.").replace("layers.", "blk.")
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        name = {"norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}.get(name, name)
        values = tensor.float().numpy()
        if family in ("llama3", "mistral") and (".attn_q." in name or ".attn_k." in name):
            order = np.arange(values.shape[0]).reshape(-1, 2, head_dim // 2).swapaxes(1, 2).reshape(-1)
            values = values[order]
        found[name] = values
    return found


def test_every_tensor_of_the_source_is_in_the_file_exactly(folder: Path, family: Family, tmp_path: Path):
    written = write_gguf(folder, tmp_path / "model.gguf", type="f32", name="tiny")
    found, wanted = values_of(written.file), in_llama_cpps_names(load_file(folder / "model.safetensors"), family=family)
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


@pytest.mark.parametrize(
    ("type", "error"),
    [("bf16", 2**-8), ("f16", 2**-11), ("q8_0", 0.007), ("q4_k_m", 0.09)],
)
def test_values_are_the_sources_within_the_types_step(
    folder: Path, family: Family, tmp_path: Path, type: str, error: float
):
    written = write_gguf(folder, tmp_path / "model.gguf", type=type, name="tiny")
    found, wanted = values_of(written.file), in_llama_cpps_names(load_file(folder / "model.safetensors"), family=family)
    for name, values in wanted.items():
        distance = np.linalg.norm(found[name] - values) / np.linalg.norm(values)
        assert distance <= (error if values.ndim > 1 else 0), name


def test_weights_stored_in_bf16_are_exact_in_a_bf16_file(tmp_path: Path):
    folder = pretrained(tmp_path / "llama3", "llama3", num_hidden_layers=1)
    store_as(folder, "bfloat16")
    found = values_of(write_gguf(folder, tmp_path / "model.gguf", type="bf16", name="tiny").file)
    wanted = in_llama_cpps_names(load_file(folder / "model.safetensors"), family="llama3")
    assert all((found[name] == wanted[name]).all() for name in wanted)


def test_the_metadata_is_the_configs(folder: Path, family: Family, tmp_path: Path):
    fields = fields_of(write_gguf(folder, tmp_path / "model.gguf", type="q8_0", name="tiny").file)
    name = {"llama3": "llama", "mistral": "llama"}.get(family, family)
    assert fields["general.architecture"] == name
    assert {key: fields[f"general.{key}"] for key in ("name", "type", "file_type", "quantization_version")} == {
        "name": "tiny", "type": "model", "file_type": 7, "quantization_version": 2,
    }  # fmt: skip
    own = {key.removeprefix(f"{name}."): value for key, value in fields.items() if key.startswith(f"{name}.")}
    assert own == {
        "context_length": 512, "embedding_length": 256, "block_count": 2, "feed_forward_length": 256,
        "attention.head_count": 4, "attention.head_count_kv": 2, "attention.key_length": 64,
        "attention.value_length": 64, "attention.layer_norm_rms_epsilon": pytest.approx(1e-5),
        "rope.dimension_count": 64, "rope.freq_base": 500_000.0,
        "vocab_size": json.loads((folder / "config.json").read_text())["vocab_size"],
    }  # fmt: skip


def test_what_was_written_is_told_exactly(folder: Path, tmp_path: Path):
    written = write_gguf(folder, tmp_path / "model.gguf", type="q4_k_m", name="tiny")
    assert written.num_bytes == written.file.stat().st_size
    assert dict(written.tensor_types) == types_of(written.file)
    assert 4.5 < written.bits_per_weight < 5.1


def test_a_narrow_model_falls_back_and_its_bits_per_weight_say_so(tmp_path: Path):
    folder = pretrained(tmp_path / "narrow", "qwen3", hidden_size=224, num_hidden_layers=1)
    narrow = write_gguf(folder, tmp_path / "narrow.gguf", type="q4_k_m", name="narrow")
    assert narrow.tensor_types["blk.0.attn_q.weight"] == "q5_0"
    assert narrow.tensor_types["blk.0.attn_output.weight"] == "q4_k"
    assert narrow.tensor_types["token_embd.weight"] == "q8_0"
    assert narrow.bits_per_weight > 6


@pytest.mark.parametrize("type", ["q4_k_m", "f16"])
def test_bytes_do_not_depend_on_workers_or_blocks(
    folder: Path, tmp_path: Path, type: str, monkeypatch: pytest.MonkeyPatch
):
    one = write_gguf(folder, tmp_path / "one.gguf", type=type, name="tiny").file.read_bytes()
    monkeypatch.setattr(write, "BLOCK_VALUES", 256 * 100)
    four = write_gguf(folder, tmp_path / "four.gguf", type=type, name="tiny", workers=4).file.read_bytes()
    assert one == four


def test_a_model_in_several_files_is_the_same_model(llama3: Path, tmp_path: Path):
    from transformers import AutoModelForCausalLM

    whole = write_gguf(llama3, tmp_path / "whole.gguf", type="q8_0", name="tiny").file.read_bytes()
    AutoModelForCausalLM.from_pretrained(llama3).save_pretrained(llama3, max_shard_size="500KB")
    (llama3 / "model.safetensors").unlink()
    assert len(list(llama3.glob("*.safetensors"))) > 1
    assert write_gguf(llama3, tmp_path / "parts.gguf", type="q8_0", name="tiny").file.read_bytes() == whole


def test_a_model_of_our_own_is_written(tmp_path: Path):
    folder = tiny_model(tmp_path / "own", hidden=256, intermediate=512)
    written = write_gguf(folder, tmp_path / "own.gguf", type="q4_k_m", name="own")
    assert "output.weight" not in written.tensor_types
    assert written.tensor_types["token_embd.weight"] == "q6_k"
    assert fields_of(written.file)["tokenizer.ggml.pre"] == "qwen2"


def test_progress_advances_to_the_size_of_the_source(llama3: Path, tmp_path: Path):
    class Counted:
        total = 0.0

        def advance(self, amount: float = 1) -> None:
            self.total += amount

        def show(self, text: str) -> None:
            raise AssertionError(text)

    counted = Counted()
    write_gguf(llama3, tmp_path / "model.gguf", type="q8_0", name="tiny", progress=counted)
    assert counted.total == source_bytes(llama3)


def test_a_weight_beyond_f16_is_named_and_leaves_no_file(llama3: Path, tmp_path: Path):
    weights = load_file(llama3 / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][2, 2] = 1e5
    save_file(weights, llama3 / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="model.layers.0.mlp.up_proj.weight holds a weight of 100000.*bf16 for a whole"):
        write_gguf(llama3, tmp_path / "out" / "model.gguf", type="f16", name="tiny")
    assert list((tmp_path / "out").iterdir()) == []
    assert write_gguf(llama3, tmp_path / "model.gguf", type="bf16", name="tiny").file.exists()


FULL_DISK = """
import resource, sys
from pathlib import Path
from demiurgic.models.gguf.write import write_gguf
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
write_gguf(Path(sys.argv[1]), Path(sys.argv[2]), type="f32", name="tiny")
"""


def test_a_full_disk_is_an_os_error_and_leaves_no_file(llama3: Path, tmp_path: Path):
    out = tmp_path / "out" / "model.gguf"
    out.parent.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(llama3), str(out)],
        capture_output=True, text=True, preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert "OSError" in done.stderr and "File too large" in done.stderr
    assert list(out.parent.iterdir()) == []


def test_an_earlier_file_stays_when_the_new_one_cannot_be_made(llama3: Path, tmp_path: Path):
    out = tmp_path / "model.gguf"
    before = write_gguf(llama3, out, type="q8_0", name="tiny").file.read_bytes()
    weights = load_file(llama3 / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, llama3 / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="model.norm.weight holds numbers that are not finite"):
        write_gguf(llama3, out, type="q8_0", name="tiny")
    assert out.read_bytes() == before
    assert list(tmp_path.glob("*.partial")) == []


def test_a_name_that_llama_cpp_acts_on_is_refused(llama3: Path, tmp_path: Path):
    with pytest.raises(UserError, match="phi-3"):
        write_gguf(llama3, tmp_path / "model.gguf", type="q8_0", name="my-Phi3-student")
