"""Weights on disk, tensor by tensor."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from demiurgic.core.errors import UserError
from demiurgic.models.load import load_model
from demiurgic.models.shards import stored_precision, stored_tensors, write_changed
from pretrained import pretrained

UP = "model.layers.0.mlp.up_proj"


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in several files."""
    folder = pretrained(tmp_path_factory.mktemp("model"))
    load_model(folder, device="cpu").save_pretrained(folder, max_shard_size="500KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


def test_tensors_are_what_safetensors_reads(sharded: Path):
    found = stored_tensors(sharded)
    for file in sharded.glob("*.safetensors"):
        for name, tensor in load_file(file).items():
            assert torch.equal(found[name].read(), tensor)


def test_without_changes_the_files_hold_the_same_tensors(sharded: Path, tmp_path: Path):
    write_changed(sharded, tmp_path, dtype=None, change=lambda tensor: None)
    for file in sharded.glob("*.safetensors"):
        old, new = load_file(file), load_file(tmp_path / file.name)
        assert all(torch.equal(old[name], new[name]) for name in old | new)


def test_a_changed_tensor_stands_among_unchanged_ones(sharded: Path, tmp_path: Path):
    def change(tensor: object) -> torch.Tensor | None:
        return torch.ones(256, 256) if tensor.name == f"{UP}.weight" else None  # type: ignore[attr-defined]

    write_changed(sharded, tmp_path, dtype=None, change=change)
    before, after = stored_tensors(sharded), stored_tensors(tmp_path)
    assert torch.equal(after[f"{UP}.weight"].read(), torch.ones(256, 256))
    assert [name for name in before if before[name].raw() != after[name].raw()] == [f"{UP}.weight"]


def test_all_can_be_written_wider(tmp_path: Path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    save_file({"a": torch.randn(3, 5).bfloat16(), "b": torch.randn(7).half()}, source / "model.safetensors")
    write_changed(source, out, dtype="F32", change=lambda tensor: None)
    old, new = load_file(source / "model.safetensors"), load_file(out / "model.safetensors")
    assert {name: tensor.dtype for name, tensor in new.items()} == {"a": torch.float32, "b": torch.float32}
    assert all(torch.equal(old[name].float(), new[name]) for name in old)


def test_the_index_says_the_new_size(sharded: Path, tmp_path: Path):
    write_changed(sharded, tmp_path, dtype=None, change=lambda tensor: None)
    name = "model.safetensors.index.json"
    sizes = [sum(t.end - t.start for t in stored_tensors(folder).values()) for folder in (sharded, tmp_path)]
    assert json.loads((tmp_path / name).read_text())["metadata"]["total_size"] == sizes[1] == sizes[0]


def test_values_that_the_dtype_cannot_hold_are_refused(tmp_path: Path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    save_file({"a": torch.zeros(2).half()}, source / "model.safetensors")
    with pytest.raises(UserError, match="a would hold numbers that F16 cannot hold. Store the result in fp32"):
        write_changed(source, out, dtype=None, change=lambda tensor: torch.full((2,), 1e6))


def test_the_precision_of_linear_layers(tmp_path: Path):
    save_file({"a.weight": torch.zeros(2, 2).bfloat16(), "norm.weight": torch.zeros(2)}, tmp_path / "x.safetensors")
    assert stored_precision(tmp_path, modules=["a"]) == "bf16"
    with pytest.raises(UserError, match="as BF16, F32; wanted one"):
        stored_precision(tmp_path, modules=["a", "norm"])
    with pytest.raises(UserError, match="has no weight of b"):
        stored_precision(tmp_path, modules=["b"])


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x02\x00\x00\x00\x00\x00\x00\x00[]"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="x.safetensors is no whole safetensors file"):
        stored_tensors(tmp_path)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 12]}, r"\[2, 2\] in F32 has 12 bytes, wanted 16"),
        ({"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 20]}, "has 20 bytes, wanted 16"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [16, 8]}, "has -8 bytes, wanted 8"),
        ({"dtype": "F4", "shape": [2], "data_offsets": [16, 8]}, "has -8 bytes, wanted 0"),
        ({"dtype": "F32", "shape": [-2], "data_offsets": [16, 8]}, r"has the shape \[-2\]"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}, "begins at"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0]}, "no whole safetensors file"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0.0, 8.0]}, "begins at"),
        (7, "no whole safetensors file"),
    ],
)
def test_a_tensor_that_has_other_bytes_than_its_shape_wants_is_damage(tmp_path: Path, entry: object, reason: str):
    header = json.dumps({"a": entry}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    with pytest.raises(UserError, match=f"x.safetensors is no whole safetensors file.*{reason}|{reason}"):
        stored_tensors(tmp_path)


def test_a_file_that_ends_early_is_named(sharded: Path, tmp_path: Path):
    file = next(iter(sharded.glob("*.safetensors")))
    (tmp_path / "x.safetensors").write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="ends before its last tensor"):
        stored_tensors(tmp_path)


def test_a_folder_without_safetensors(tmp_path: Path):
    with pytest.raises(UserError, match="holds no weights in safetensors"):
        stored_tensors(tmp_path)


def test_a_tensor_that_is_stored_twice_is_named(tmp_path: Path):
    for name in ("a.safetensors", "b.safetensors"):
        save_file({"weight": torch.zeros(2)}, tmp_path / name)
    with pytest.raises(UserError, match="stores weight twice, in a.safetensors and b.safetensors"):
        stored_tensors(tmp_path)
