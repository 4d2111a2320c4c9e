from pathlib import Path
from typing import Any

import pytest

from demiurgic.models.gguf.architecture import read_architecture
from demiurgic.models.gguf.header import HeaderCheck, check_header
from demiurgic.models.gguf.write import write_gguf
from gguf_faults import rewritten
from odd_tokenizers import change_json
from pretrained import FAMILIES, Family, pretrained

ROPES: dict[str, dict[str, Any]] = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 3.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128},
    "llama3": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 128,
    },
}  # fmt: skip


def source_of(folder: Path, rope: str = "default", family: Family = "llama3") -> Path:
    parameters = {"rope_theta": 10_000.0, **ROPES[rope]}
    return pretrained(folder / "source", family, num_hidden_layers=1, rms_norm_eps=1e-6, rope_parameters=parameters)


def checked(file: Path, source: Path) -> HeaderCheck:
    return check_header(file, read_architecture(source))


def written(source: Path) -> Path:
    return write_gguf(source, source.with_name("model.gguf"), type="q8_0", name="tiny").file


@pytest.mark.parametrize("family", FAMILIES)
def test_a_header_is_the_configs(family: Family, tmp_path: Path):
    source = source_of(tmp_path, family=family)
    assert checked(written(source), source) == HeaderCheck(14, ())


@pytest.mark.parametrize("rope", ROPES)
def test_every_way_to_stretch_positions_comes_back(rope: str, tmp_path: Path):
    source = source_of(tmp_path, rope)
    assert checked(written(source), source).miss is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rope.freq_base", 10_001.0), ("layer_norm_rms_epsilon", 1.1e-6), ("context_length", 511),
        ("head_count_kv", 4), ("key_length", 32), ("rope.dimension_count", 32), ("vocab_size", 7),
    ],
)  # fmt: skip
def test_a_field_that_is_another_is_named_with_both_values(field: str, value: float, tmp_path: Path):
    source = source_of(tmp_path)
    miss = checked(rewritten(written(source), fields={field: value}), source).miss
    assert miss is not None and f"{field} is {value:g}, wanted" in miss


@pytest.mark.parametrize(
    ("stored", "meant", "says"),
    [
        ("linear", "default", "llama.rope.scaling.factor is 3, wanted none"),
        ("default", "yarn", "llama.rope.scaling.type is missing, wanted yarn"),
        ("llama3", "default", "rope_freqs.weight is there, wanted none"),
        ("default", "llama3", "rope_freqs.weight is missing"),
    ],
)
def test_positions_that_are_stretched_otherwise_are_found(stored: str, meant: str, says: str, tmp_path: Path):
    source = source_of(tmp_path, stored)
    file = written(source)
    change_json(source / "config.json", rope_parameters={"rope_theta": 10_000.0, **ROPES[meant]})
    assert says in str(checked(file, source).miss)


def test_factors_of_another_stretching_are_found(tmp_path: Path):
    source = source_of(tmp_path, "llama3")
    file = rewritten(written(source), change=lambda name, data: data / 2 if name == "rope_freqs.weight" else data)
    assert "rope_freqs.weight (0.5 to 4) differs, wanted 1 to 8" in str(checked(file, source).miss)


def test_a_file_of_another_architecture_is_found(tmp_path: Path):
    source = source_of(tmp_path)
    file = written(source)
    other = pretrained(tmp_path / "other", "qwen3", num_hidden_layers=1)
    miss = str(checked(file, other).miss)
    assert "general.architecture is llama, wanted qwen3" in miss and "more" in miss
