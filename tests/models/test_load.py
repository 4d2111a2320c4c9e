import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from demiurgic.core.errors import UserError
from demiurgic.models.load import context_length, load_model, resolve_device, save_model
from demiurgic.models.tokenizer import tokenizer_digest
from tiny_models import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("load") / "model")


@pytest.fixture
def own_copy(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder, tmp_path / "model")
    return tmp_path / "model"


def test_a_model_is_ready_to_be_asked(folder: Path):
    model = load_model(folder, device="cpu")
    assert not model.training
    assert (model.device.type, model.dtype, context_length(model)) == ("cpu", torch.float32, 256)


def test_weights_are_cast_when_asked(folder: Path):
    assert load_model(folder, device="cpu", dtype="bfloat16").dtype == torch.bfloat16


def test_a_saved_model_is_the_same_model(folder: Path, tmp_path: Path):
    model = load_model(folder, device="cpu")
    save_model(model, folder, tmp_path / "again")
    again = load_model(tmp_path / "again", device="cpu")
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in model.state_dict().items())
    assert tokenizer_digest(tmp_path / "again") == tokenizer_digest(folder)
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == sorted(
        path.name for path in folder.iterdir()
    )


def test_the_same_model_is_saved_in_the_same_bytes(folder: Path, tmp_path: Path):
    save_model(load_model(folder, device="cpu"), folder, tmp_path / "again")
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_other_programs_load_the_folder(folder: Path):
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert len(tokenizer) == model.config.vocab_size == 300
    assert tokenizer.chat_template


def test_a_folder_without_model_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"holds no model: config\.json is missing"):
        load_model(tmp_path)


def test_missing_weights_are_refused(own_copy: Path):
    weights = load_file(own_copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, own_copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"missing keys: model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(own_copy, device="cpu")


def test_weights_of_another_size_are_refused(own_copy: Path):
    config = (own_copy / "config.json").read_text()
    (own_copy / "config.json").write_text(config.replace('"intermediate_size": 96', '"intermediate_size": 128'))
    with pytest.raises(UserError, match=r"mismatched keys: .*mlp.* and 3 more"):
        load_model(own_copy, device="cpu")


def test_a_truncated_file_is_refused(own_copy: Path):
    content = (own_copy / "model.safetensors").read_bytes()
    (own_copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cannot be read as a model"):
        load_model(own_copy, device="cpu")


def test_a_config_that_is_no_json_is_refused(own_copy: Path):
    (own_copy / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as a model"):
        load_model(own_copy, device="cpu")


def test_an_unknown_dtype_is_refused(folder: Path):
    with pytest.raises(UserError, match='no dtype "float23". Did you mean "float32"'):
        load_model(folder, dtype="float23")


def test_an_unknown_device_is_refused():
    with pytest.raises(UserError, match='no device "gpu"'):
        resolve_device("gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_a_cuda_device_is_refused():
    with pytest.raises(UserError, match="torch finds none here"):
        resolve_device("cuda")
    assert resolve_device("auto") == torch.device("cpu")
