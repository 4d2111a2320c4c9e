from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from demiurgic.core.artifacts import Manifest, Model
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.create.create import STAGE
from demiurgic.models.load import load_model
from demiurgic.models.tokenizer import tokenizer_digest
from demiurgic.run.context import Context
from demiurgic.run.step import run_stage
from tiny_models import QUIET, tiny_words

SHAPE = {"hidden": 64, "layers": 2, "heads": 4, "kv_heads": 2, "head_dim": 16, "intermediate": 96}


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_words(tmp_path_factory.mktemp("create") / "words")


def created(words: Path, out: Path, *, seed: int = 0, **values: object) -> Path:
    return run_stage(STAGE, {"tokenizer": words, "shape": SHAPE, **values}, out, seed=seed, context=QUIET)


def test_a_new_model_is_a_hugging_face_folder_in_fp32(words: Path, tmp_path: Path):
    model = Model.open(created(words, tmp_path / "blank"))
    loaded = AutoModelForCausalLM.from_pretrained(model.path, local_files_only=True)
    assert (loaded.config.model_type, loaded.config.vocab_size, loaded.dtype) == ("llama", 300, torch.float32)
    assert tokenizer_digest(model.path) == tokenizer_digest(words / "tokenizer")


def test_the_summary_counts_parameters_by_part(words: Path, tmp_path: Path):
    folder = created(words, tmp_path / "blank")
    metrics = Manifest.read(folder).summary.metrics
    model = load_model(folder / "model", device="cpu")
    assert metrics["parameters"].value == model.num_parameters()
    parts = ("embedding", "attention", "mlp", "norms", "head")
    assert sum(metrics[f"parameters_{part}"].value for part in parts) == model.num_parameters()


def test_the_same_seed_makes_the_same_files(words: Path, tmp_path: Path):
    digests = [
        Model.open(created(words, tmp_path / name, seed=seed)).digest for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_shape_is_found_by_name(words: Path, tmp_path: Path):
    folder = created(words, tmp_path / "blank", shape="2m", context=512)
    config = load_model(folder / "model", device="cpu").config
    assert (config.hidden_size, config.num_hidden_layers, config.max_position_embeddings) == (256, 2, 512)
    assert Manifest.read(folder).summary.facts["shape"] == "2m"


@pytest.mark.parametrize(("shape", "fits"), [(SHAPE, False), ("2m", True)])
def test_a_shape_that_k_quants_do_not_fit_is_said(words: Path, tmp_path: Path, capsys, shape: object, fits: bool):
    values = {"tokenizer": words, "shape": shape}
    folder = run_stage(STAGE, values, tmp_path / "blank", context=Context(console=Console(), device="cpu"))
    assert Manifest.read(folder).summary.facts["k_quants"] == fits
    note = "hidden (64), heads * head_dim (64) and intermediate (96) are not all multiples of 256"
    assert (note in capsys.readouterr().err) != fits


def test_an_unknown_shape_is_refused_with_the_nearest_name(words: Path, tmp_path: Path):
    with pytest.raises(ValidationError, match='There is no shape "100mb". Did you mean "100m"') as caught:
        created(words, tmp_path / "blank", shape="100mb")
    assert [error["loc"] for error in caught.value.errors()] == [("shape",)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"kv_heads": 3}, "heads \\(4\\) must be a multiple of kv_heads \\(3\\)"), ({"wings": 2}, "wings: Extra inputs")],
)
def test_a_shape_written_out_is_checked(words: Path, tmp_path: Path, change: dict, reason: str):
    with pytest.raises(ValidationError, match=reason) as caught:
        created(words, tmp_path / "blank", shape={**SHAPE, **change})
    assert [error["loc"] for error in caught.value.errors()] == [("shape",)]


def test_a_context_beyond_the_shape_is_refused(words: Path, tmp_path: Path):
    with pytest.raises(UserError, match="context of 4096 tokens was asked for"):
        created(words, tmp_path / "blank", shape="2m", context=4096)
