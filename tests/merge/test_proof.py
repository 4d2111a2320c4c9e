"""A right merge passes its proof with room; every known way to get a merge wrong misses a bound at least five times."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from demiurgic.merge.merge import advice
from demiurgic.merge.proof import Proof, Reference, prove, reference
from demiurgic.merge.write import Addition, read_addition, write_merged
from demiurgic.models.shards import StoredTensor, stored_tensors, write_changed
from pretrained import pretrained
from tiny_adapters import peft_adapter, pretrained_base

RANK = 8


@dataclass(frozen=True)
class Case:
    """A base, an adapter for it, and what a merge of them is to reach."""

    base: Path
    addition: Addition
    wanted: Reference

    @classmethod
    def of(cls, folder: Path, *, strength: float, nf4: bool = False, dtype: str = "float32") -> "Case":
        base = pretrained_base(folder / "base", dtype=dtype)
        adapter = peft_adapter(
            folder / "made", base, strength=strength, precision="nf4" if nf4 else "fp32", r=RANK, lora_alpha=2 * RANK
        )
        addition = read_addition(adapter, base=base, nf4=nf4)
        scratch = folder / "logits"
        scratch.mkdir()
        wanted = reference(base, adapter, nf4=nf4, windows=None, device="cpu", scratch=scratch)
        return cls(base, addition, wanted)

    def proof(self, merged: Path) -> Proof:
        return prove(self.base, self.addition, merged, self.wanted, device="cpu")


@pytest.fixture(scope="module", params=[0.1, 0.003], ids=["strong", "weak"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case.of(tmp_path_factory.mktemp("full"), strength=request.param)


@pytest.fixture(scope="module", params=[0.1, 0.003], ids=["strong", "weak"])
def nf4_case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case.of(tmp_path_factory.mktemp("nf4"), strength=request.param, nf4=True)


def scaled(case: Case, factor: float) -> Addition:
    updates = {name: replace(u, scaling=u.scaling * factor) for name, u in case.addition.updates.items()}
    return replace(case.addition, updates=updates)


def twice(case: Case, out: Path) -> None:
    write_merged(case.base, case.addition, out.with_name("once"), onto="base")
    write_merged(out.with_name("once"), case.addition, out, onto="base")


def forgotten(case: Case, out: Path) -> None:
    shutil.copytree(case.base, out)


def scaled_by_the_root_of_the_rank(case: Case, out: Path) -> None:
    write_merged(case.base, scaled(case, RANK**0.5), out, onto="base")


def without_any_scaling(case: Case, out: Path) -> None:
    write_merged(case.base, scaled(case, 1 / 2), out, onto="base")


def into_another_base(case: Case, out: Path) -> None:
    write_merged(pretrained(out.with_name("other"), seed=5), case.addition, out, onto="base")


def in_4_bits(case: Case, out: Path) -> None:
    write_merged(case.base, case.addition, out, onto="nf4")


def into_the_dequantized_base(case: Case, out: Path) -> None:
    write_merged(case.base, case.addition, out, onto="dequantized")


FAULTS: list[Callable[[Case, Path], None]] = [
    *(twice, forgotten, scaled_by_the_root_of_the_rank, without_any_scaling, into_another_base, in_4_bits),
    into_the_dequantized_base,
]


def test_a_right_merge_is_far_from_every_bound(case: Case, tmp_path: Path):
    write_merged(case.base, case.addition, tmp_path / "m", onto="base")
    proof = case.proof(tmp_path / "m")
    assert proof.misses() == []
    assert max(proof.ratios().values()) < 0.01


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_wrong_merge_misses_by_far(case: Case, tmp_path: Path, fault: Callable[[Case, Path], None]):
    fault(case, tmp_path / "m")
    ratios = case.proof(tmp_path / "m").ratios()
    assert ratios["residual"] >= 5
    assert ratios["kl_share_of_effect"] >= 5


def test_one_layer_forgotten_is_found_by_its_tensor_where_predictions_hardly_tell(case: Case, tmp_path: Path):
    rest = dict(case.addition.updates)
    del rest["model.layers.1.mlp.down_proj"]
    write_merged(case.base, replace(case.addition, updates=rest), tmp_path / "m", onto="base")
    ratios = case.proof(tmp_path / "m").ratios()
    assert ratios["kl_share_of_effect"] < 1
    assert min(ratios["projection"], ratios["residual"]) >= 5


def test_a_right_merge_of_a_4_bit_adapter(nf4_case: Case, tmp_path: Path):
    into_the_dequantized_base(nf4_case, tmp_path / "m")
    proof = nf4_case.proof(tmp_path / "m")
    assert proof.misses() == []
    assert max(proof.ratios().values()) < 0.01


@pytest.mark.parametrize("onto", ["base", "nf4"])
def test_a_4_bit_adapter_anywhere_else_misses_by_far(nf4_case: Case, tmp_path: Path, onto: str):
    write_merged(nf4_case.base, nf4_case.addition, tmp_path / "m", onto=onto)  # type: ignore[arg-type]
    ratios = nf4_case.proof(tmp_path / "m").ratios()
    assert ratios["residual"] >= 5
    assert ratios["kl_share_of_effect"] >= 5


def test_4_bits_lose_most_of_a_weak_update(tmp_path: Path):
    case = Case.of(tmp_path / "case", strength=0.003, nf4=True)
    in_4_bits(case, tmp_path / "m")
    assert max(tensor.projection for tensor in case.proof(tmp_path / "m").tensors) < 0.2


def test_a_changed_tensor_without_an_update_is_found(case: Case, tmp_path: Path):
    write_merged(case.base, case.addition, tmp_path / "right", onto="base")
    shutil.copytree(tmp_path / "right", tmp_path / "m")

    def nudge(tensor: StoredTensor) -> object:
        return tensor.read() * (1 + 1e-6) if tensor.name == "model.norm.weight" else None

    write_changed(tmp_path / "right", tmp_path / "m", dtype=None, change=nudge)  # type: ignore[arg-type]
    proof = case.proof(tmp_path / "m")
    assert proof.misses() == ["strangers"]
    assert proof.strangers == ["model.norm.weight"]
    assert "1 other tensors changed, first model.norm.weight" in proof.told()
    assert "the merge itself is at fault: report it, with proof.json" in advice(proof, Path("proof.json"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("nf4", [False, True])
def test_an_update_above_the_steps_of_the_stored_dtype_is_present_once(tmp_path: Path, dtype: str, nf4: bool):
    case = Case.of(tmp_path / "case", strength=0.05, nf4=nf4, dtype=dtype)
    write_merged(case.base, case.addition, tmp_path / "m", onto="dequantized" if nf4 else "base")
    proof = case.proof(tmp_path / "m")
    assert not {"projection", "residual", "strangers"} & set(proof.misses())
    assert proof.coarse == {"bfloat16": "bf16", "float16": "fp16"}[dtype]


def test_one_tensors_update_that_the_stored_dtype_drops_is_a_miss(tmp_path: Path):
    case = Case.of(tmp_path / "case", strength=0.1, dtype="bfloat16")
    name = "model.layers.0.mlp.up_proj"
    faint = replace(case.addition.updates[name], scaling=case.addition.updates[name].scaling * 1e-3)
    addition = replace(case.addition, updates={**case.addition.updates, name: faint})
    write_merged(case.base, addition, tmp_path / "m", onto="base")
    proof = prove(case.base, addition, tmp_path / "m", case.wanted, device="cpu")
    assert proof.least_present.name == f"{name}.weight"
    assert proof.least_present.projection < 0.3
    assert proof.least_present.residual == 0
    assert proof.ratios()["projection"] >= 5


def test_a_merge_that_is_twice_is_found_in_bf16_too(tmp_path: Path):
    case = Case.of(tmp_path / "case", strength=0.01, dtype="bfloat16")
    twice(case, tmp_path / "m")
    proof = case.proof(tmp_path / "m")
    assert min(proof.ratios()["projection"], proof.ratios()["residual"]) >= 5
    assert "the merge itself is at fault" in advice(proof, Path("proof.json"))


def test_the_logits_to_compare_with_are_on_the_disk_and_one_text_is_in_memory(case: Case):
    words = stored_tensors(case.base)["model.embed_tokens.weight"].shape[0]
    sizes = {int(file.name): file.stat().st_size for file in case.wanted.folder.iterdir()}
    assert sizes == {n: 4 * words * len(ids) for n, ids in enumerate(case.wanted.sequences)}
    first = next(case.wanted.applied())
    assert tuple(first.shape) == (len(case.wanted.sequences[0]), words)
