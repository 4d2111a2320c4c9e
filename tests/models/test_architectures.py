"""Which folders are worked on, and what each other one is told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from demiurgic.core.errors import UserError
from demiurgic.models.architectures import SUPPORTED, check_folder
from demiurgic.models.load import load_model
from pretrained import FAMILIES, Family, pretrained, write_tokenizer


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained(tmp_path_factory.mktemp("models") / "llama", "llama3")


@pytest.fixture
def folder(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "model"))


def edit(path: Path, **changes: object) -> None:
    data = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in {**data, **changes}.items() if v is not None}))


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_says_what_it_holds(tmp_path: Path, family: Family):
    found = check_folder(pretrained(tmp_path, family))
    model = load_model(tmp_path, device="cpu")
    assert found.architecture is SUPPORTED[type(model).__name__]
    assert found.num_parameters == model.num_parameters()
    assert (found.vocab_size, found.tokenizer_size, found.context) == (320, 320, 512)
    assert (found.precision, found.sliding_window) == ("fp32", None)
    attention = model.model.layers[0].self_attn
    assert found.architecture.qkv_bias is (attention.q_proj.bias is not None)
    assert found.architecture.qk_norm is hasattr(attention, "q_norm")


def test_a_padded_vocabulary_is_fine_and_told(tmp_path: Path):
    found = check_folder(pretrained(tmp_path, "qwen2", vocab_size=512))
    assert (found.vocab_size, found.tokenizer_size) == (512, 320)


def test_a_tied_head_is_counted_once_whether_or_not_it_is_stored(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = pretrained(tmp_path, "qwen3")
    without = check_folder(folder)
    tensors = load_file(str(folder / "model.safetensors"))
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    assert check_folder(folder) == without


def test_a_sliding_window_is_told_where_it_is_used(tmp_path: Path):
    assert check_folder(pretrained(tmp_path / "used", "mistral", sliding_window=64)).sliding_window == 64
    unused = pretrained(tmp_path / "unused", "qwen2", sliding_window=64, use_sliding_window=False)
    assert check_folder(unused).sliding_window is None


def test_bf16_weights_are_told(folder: Path):
    import torch

    load_model(folder, device="cpu", dtype="bfloat16").to(torch.bfloat16).save_pretrained(str(folder))
    assert check_folder(folder).precision == "bf16"


def gguf(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "model-q4_k_m.gguf").write_bytes(b"GGUF")


def adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def without_head(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(str(folder / "model.safetensors"))
    del tensors["lm_head.weight"]
    save_file(tensors, str(folder / "model.safetensors"))


def prefix_space(folder: Path) -> None:
    edit(folder / "tokenizer.json", pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"})


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"


def cut_tokenizer(folder: Path) -> None:
    content = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda f: (f / "tokenizer.json").write_text(LFS), r"tokenizer.json is a git-lfs pointer.*git lfs pull"),
        (lambda f: (f / "model.safetensors").write_text(LFS), r"model.safetensors is a git-lfs pointer"),
        (lambda f: (f / "config.json").write_text(LFS), r"config.json is a git-lfs pointer"),
        (cut_tokenizer, "tokenizer of .* is damaged"),
        (lambda f: edit(f / "tokenizer.json", added_tokens=None), "tokenizer of .* is damaged.*added_tokens"),
        (lambda f: edit(f / "tokenizer.json", model={"type": "BPE"}), "tokenizer of .* is damaged"),
        (lambda f: (f / "tokenizer_config.json").write_text("{"), "tokenizer_config.json is damaged"),
        (lambda f: edit(f / "config.json", max_position_embeddings=None), "says max_position_embeddings null; wanted"),
        (lambda f: edit(f / "config.json", vocab_size="320"), 'says vocab_size "320"; wanted'),
        (lambda f: (f / "generation_config.json").write_text("{"), "generation_config.json is damaged"),
        (lambda f: (f / "generation_config.json").write_text("[]"), "generation_config.json is damaged"),
        (lambda f: edit(f / "generation_config.json", eos_token_id=[999999]), "999999 as eos_token_id, .* 0 to 319"),
        (lambda f: edit(f / "generation_config.json", eos_token_id="</s>"), '"</s>" as eos_token_id'),
        (lambda f: edit(f / "config.json", bos_token_id=-1), "-1 as bos_token_id"),
        (lambda f: edit(f / "config.json", architectures="LlamaForCausalLM"), r'"LlamaForCausalLM"; wanted a list of'),
        (lambda f: edit(f / "config.json", architectures=[[]]), r"wanted a list of one name"),
        (lambda f: edit(f / "config.json", num_attention_heads=0), "describes no model that can be built"),
        (gguf, r"holds a GGUF \(model-q4_k_m.gguf\), which runs and cannot be trained"),
        (adapter, "is an adapter, not a model. Set kind: adapter"),
        (pickled, "holds its weights as pytorch_model.bin, a pickle"),
        (cut, "ends before its last tensor"),
        (without_head, r"do not fit its config.json \(missing: lm_head.weight\)"),
        (lambda f: edit(f / "config.json", intermediate_size=128), r"of another shape: model.layers.0.mlp"),
        (lambda f: edit(f / "config.json", num_hidden_layers=1), r"not in the model: model.layers.1"),
        (lambda f: (f / "model.safetensors").unlink(), "holds a config and no weights"),
        (
            lambda f: edit(f / "config.json", architectures=["MambaForCausalLM"]),
            "MambaForCausalLM; supported are Llama",
        ),
        (lambda f: edit(f / "config.json", architectures=None), r"nothing \(model_type llama\); supported are"),
        (lambda f: edit(f / "config.json", model_type="qwen2"), "model_type qwen2; wanted llama"),
        (lambda f: edit(f / "config.json", auto_map={"AutoModel": "code.Model"}), "runs code of its own"),
        (lambda f: edit(f / "tokenizer_config.json", auto_map={"AutoTokenizer": "code.T"}), "runs code of its own"),
        (
            lambda f: edit(f / "config.json", quantization_config={"quant_method": "gptq"}),
            r"quantized already \(gptq\)",
        ),
        (lambda f: (f / "config.json").write_text("{"), "config.json is damaged"),
        (lambda f: (f / "tokenizer.json").unlink(), "holds no tokenizer.json. Bring the model in with"),
        (prefix_space, "not a byte-level BPE"),
    ],
)
def test_what_would_not_work_later_is_refused_now(folder: Path, spoil: Callable[[Path], None], reason: str):
    spoil(folder)
    with pytest.raises(UserError, match=reason):
        check_folder(folder)


def test_a_sentencepiece_model_alone_is_named(folder: Path):
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    with pytest.raises(UserError, match="It has a SentencePiece tokenizer.model instead"):
        check_folder(folder)


def test_a_tokenizer_with_more_ids_than_embeddings_is_refused(folder: Path):
    write_tokenizer(folder, "llama3", size=350)
    with pytest.raises(UserError, match="has 350 ids and the model embeddings for 320"):
        check_folder(folder)


@pytest.mark.parametrize(
    ("name", "reason"), [("there.gguf", "a GGUF"), ("there.txt", "a file"), ("absent", "not there")]
)
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str, reason: str):
    if name != "absent":
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(UserError, match=reason):
        check_folder(tmp_path / name)
