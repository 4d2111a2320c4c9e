from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pretrained as hub
from demiurgic.core.errors import UserError
from demiurgic.models.gguf.adapter import write_adapter_gguf
from demiurgic.models.gguf.limits import ADAPTER, LIMITS, MAX_SHARE_OF_EFFECT, limit_of
from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.tokenization import TokenCheck, compare_tokens
from demiurgic.models.gguf.types import FILE_TYPES
from demiurgic.models.gguf.verdict import Verified
from demiurgic.models.gguf.verify import AdapterFiles, verify
from demiurgic.models.gguf.write import write_gguf
from demiurgic.models.load import load_model, save_model
from demiurgic.models.lora import read_updates
from demiurgic.models.probes import TEXTS
from demiurgic.models.tokenizer import load_tokenizer, tokenizer_digest
from demiurgic.models.windows import Windows
from gguf_faults import rewritten, without_permutation
from pretrained import FAMILIES, Family, pretrained, write_tokenizer
from tiny_adapters import peft_adapter, pretrained_base
from tiny_models import tiny_model
from tiny_training import tiny_tokens

STD = 0.04
"""Weights of this size lose in f16 and in quantization what weights of trained models lose, and all parts matter."""
CLEARLY = 5.0
"""By how much a fault must miss its limit."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("verify")


def source_of(folder: Path, family: Family) -> Path:
    path = folder / family
    return path if path.exists() else pretrained(path, family, std=STD)


def written(source: Path, type: str) -> Path:
    file = source.with_name(f"{source.name}-{type}.gguf")
    return file if file.exists() else write_gguf(source, file, type=type, name=source.name).file


@cache
def proof(source: Path, type: str) -> Verified:
    """What is found of the right file."""
    return verify(written(source, type), source)


@pytest.fixture(scope="module")
def llama3(folder: Path) -> Path:
    return source_of(folder, "llama3")


def excess(found: Verified, type: str = "f16") -> float:
    """How many times the limit the distance to the source is."""
    return found.divergence.mean_kl / LIMITS[type]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_f16_file_of_every_family_is_its_source(family: Family, folder: Path):
    source = source_of(folder, family)
    found = proof(source, "f16")
    assert found.misses(limit_of("f16")) == []
    assert found.tokens.mismatches == 0 and found.tokens.texts > 200
    assert found.kl.low <= found.kl.value <= found.kl.high < 1e-5
    assert found.greedy.equal + found.greedy.tied == found.greedy.prompts


@pytest.mark.parametrize("type", ["f32", "bf16", "q8_0", "q5_k_m", "q4_k_m"])
def test_a_file_of_every_precision_keeps_its_limit(type: str, llama3: Path):
    assert proof(llama3, type).misses(limit_of(type)) == []


def test_coarser_types_lie_further_from_the_source(llama3: Path):
    distances = [proof(llama3, type).divergence.mean_kl for type in ("f32", "f16", "q8_0", "q4_k_m")]
    assert distances == sorted(distances)
    assert distances[0] < 1e-10


def test_a_model_of_our_own_is_its_source(folder: Path):
    source = tiny_model(folder / "own", hidden=256)
    assert verify(written(source, "f16"), source).misses(limit_of("f16")) == []


def test_documents_of_windows_are_compared_on_when_they_are_given(folder: Path):
    source = tiny_model(folder / "windowed", hidden=256)
    windows = Windows.open(tiny_tokens(folder / "rows", source, length=64))
    assert windows.tokenizer_digest == tokenizer_digest(source)
    found = verify(written(source, "f16"), source, windows=windows)
    assert found.divergence.positions <= windows.counts.tokens
    assert found.misses(limit_of("f16")) == []


def test_no_logits_are_left_on_the_disk(llama3: Path, tmp_path: Path):
    verify(written(llama3, "f16"), llama3, scratch=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_q_and_k_in_the_wrong_order_of_rows_are_found(llama3: Path):
    found = verify(without_permutation(written(llama3, "f16"), head_dim=64), llama3)
    assert excess(found) > CLEARLY
    assert len(found.misses(limit_of("f16"))) >= 2


@pytest.mark.parametrize("family", ["llama3", "qwen2", "qwen3"])
def test_another_rope_base_is_found(family: Family, folder: Path):
    source = source_of(folder, family)
    found = verify(rewritten(written(source, "f16"), fields={"rope.freq_base": 10_000.0}), source)
    assert excess(found) > CLEARLY


@pytest.mark.parametrize("family", ["llama3", "qwen3"])
def test_another_epsilon_is_found(family: Family, folder: Path):
    source = source_of(folder, family)
    found = verify(rewritten(written(source, "f16"), fields={"layer_norm_rms_epsilon": 1e-3}), source)
    assert excess(found) > CLEARLY


@pytest.mark.parametrize("max_kl", [None, 0.15])
@pytest.mark.parametrize("fields", [{"rope.freq_base": 10_000.0}, {"layer_norm_rms_epsilon": 1e-3}])
def test_a_fault_that_the_loss_of_a_coarse_type_would_hide_is_found(
    fields: dict[str, float], max_kl: float | None, llama3: Path
):
    found = verify(rewritten(written(llama3, "q4_k_m"), fields=fields), llama3)
    limit = limit_of("q4_k_m", max_kl=max_kl)
    assert not found.loses_too_much(limit)
    assert found.running_kl is not None and found.running_kl > CLEARLY * limit.max_running_kl
    header, running, *_ = found.misses(limit)
    assert f"{next(iter(fields))} is {next(iter(fields.values())):g}" in header
    assert "other than the rounding of weights" in running


def test_a_limit_of_ones_own_is_one_for_the_weights_loss_alone():
    usual, own = limit_of("q4_k_m"), limit_of("q4_k_m", max_kl=0.5)
    assert own.max_kl == 0.5
    assert (own.max_running_kl, own.max_far_kl) == (usual.max_running_kl, usual.max_far_kl)


LONG = 131_072
LLAMA31 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}


def long_source(folder: Path, family: Family, rope: dict[str, Any]) -> Path:
    path = folder / f"long-{family}-{rope['rope_type']}"
    changes = {"max_position_embeddings": LONG, "rope_parameters": {"rope_theta": 500_000.0, **rope}}
    return path if path.exists() else pretrained(path, family, std=STD, **changes)


@pytest.mark.parametrize("type", ["f16", "q4_k_m"])
@pytest.mark.parametrize(("family", "rope"), [("llama3", LLAMA31), ("llama3", YARN), ("qwen2", YARN)])
def test_a_file_for_long_contexts_is_its_source_from_far_away(
    family: Family, rope: dict[str, Any], type: str, folder: Path
):
    found = proof(long_source(folder, family, rope), type)
    assert found.misses(limit_of(type)) == []
    assert found.far_kl is not None and found.far_kl < limit_of(type).max_far_kl / 10


@pytest.mark.parametrize("type", ["f16", "q4_k_m"])
@pytest.mark.parametrize(
    ("rope", "fault", "named"),
    [
        (LLAMA31, {"without": "rope_freqs.weight"}, "rope_freqs.weight is missing"),
        (YARN, {"fields": {"scaling.factor": 8.0}}, "rope.scaling.factor is 8, wanted 4"),
        (
            YARN,
            {"fields": {"scaling.original_context_length": 2048}},
            "original_context_length is 2048, wanted 32768",
        ),
    ],
    ids=["no factors", "factor", "original context"],
)
def test_a_fault_that_only_long_distances_show_is_found(
    rope: dict[str, Any], fault: dict[str, Any], named: str, type: str, folder: Path
):
    source = long_source(folder, "llama3", rope)
    found = verify(rewritten(written(source, type), **fault), source)
    limit = limit_of(type, max_kl=0.15)
    header, *others = found.misses(limit)
    assert named in header
    assert found.far_kl is not None and found.far_kl > CLEARLY * limit.max_far_kl
    assert any("read from far away" in miss for miss in others)


def test_a_context_without_room_for_a_gap_has_no_far_figure(folder: Path):
    source = pretrained(folder / "short", "llama3", std=STD, max_position_embeddings=8)
    found = verify(written(source, "f16"), source)
    assert found.far_kl is None
    assert found.misses(limit_of("f16")) == []


def test_weights_that_are_not_the_source_s_are_named(llama3: Path):
    def change(name: str, data: Any) -> Any:
        return data[::-1].copy() if name == "blk.1.ffn_up.weight" else data

    found = verify(rewritten(written(llama3, "q4_k_m"), change=change), llama3)
    assert any("blk.1.ffn_up.weight is 14" in miss for miss in found.misses(limit_of("q4_k_m")))


def test_the_weights_of_an_f32_file_are_the_source_s_to_the_bit(llama3: Path):
    weights = proof(llama3, "f32").weights
    assert weights is not None and weights.error == 0 and weights.tensors == 21


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    return pretrained_base(folder / "base", std=STD)


@pytest.fixture(scope="module")
def lora(base: Path, folder: Path) -> Path:
    return peft_adapter(folder / "lora", base, strength=0.02)


def merged(base: Path, lora: Path, out: Path, *, times: int) -> Path:
    """The base with the updates added so many times."""
    model = load_model(base, device="cpu")
    for update in read_updates(lora):
        weight = model.get_submodule(update.module).weight
        weight.data += times * update.delta_OI()
    save_model(model, base, out)
    return out


def test_an_adapter_merged_twice_is_found(base: Path, lora: Path, folder: Path):
    right = merged(base, lora, folder / "once", times=1)
    twice = merged(base, lora, folder / "twice", times=2)
    assert verify(written(right, "f16"), right).misses(limit_of("f16")) == []
    assert excess(verify(written(twice, "f16"), right)) > CLEARLY


def test_a_model_whose_adapter_was_forgotten_is_found(base: Path, lora: Path, folder: Path):
    right = merged(base, lora, folder / "right", times=1)
    assert excess(verify(written(base, "f16"), right)) > CLEARLY


def adapted(base: Path, lora: Path, file: Path) -> Verified:
    return verify(written(base, "f32"), base, adapter=AdapterFiles(lora, file))


def test_an_adapter_file_does_what_peft_does(base: Path, lora: Path, folder: Path):
    found = adapted(base, lora, write_adapter_gguf(lora, base, folder / "lora.gguf").file)
    assert found.misses(limit_of(ADAPTER)) == []
    assert found.effect_kl is not None and found.effect_kl > 1e-4


def test_an_adapter_file_with_the_scale_of_rslora_is_found(base: Path, lora: Path, folder: Path):
    """alpha / sqrt(r) in place of alpha / r: for rank 4 all updates are twice as large."""
    right = write_adapter_gguf(lora, base, folder / "right-scale.gguf").file
    wrong = rewritten(right, change=lambda name, data: data * 2 if name.endswith("lora_b") else data)
    found = adapted(base, lora, wrong)
    assert excess(found, ADAPTER) > CLEARLY
    assert found.share_of_effect is not None and found.share_of_effect > CLEARLY * MAX_SHARE_OF_EFFECT


@pytest.fixture(scope="module")
def wordy(folder: Path) -> Path:
    """A model whose vocabulary has what pre-tokenizers differ in: numbers, contractions, runs of blanks."""
    lines = [
        *TEXTS,
        "1234 567 89 2026 1999 100 200 3000",
        "I'VE we'll they're it's",
        "a\n\n\n\nb\n\n\nc    d     e",
    ] * 3
    source = pretrained(folder / "wordy", std=STD, vocab_size=700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "LINES", lines)
        write_tokenizer(source, "llama3", size=700)
    return source


def tokens_of(file: Path, source: Path) -> TokenCheck:
    with Llama(file, context=16, threads=1) as llama:
        return compare_tokens(llama, load_tokenizer(source))


def test_the_right_pre_tokenizer_gives_the_same_ids(wordy: Path):
    assert tokens_of(written(wordy, "q8_0"), wordy).mismatches == 0


@pytest.mark.parametrize("name", ["gpt-2", "default", "qwen2"])
def test_another_pre_tokenizer_is_found(name: str, wordy: Path):
    found = tokens_of(rewritten(written(wordy, "q8_0"), fields={"tokenizer.ggml.pre": name}), wordy)
    assert found.mismatches >= CLEARLY
    assert found.first is not None and "in the source and" in found.first


def test_other_token_ids_are_a_miss_unless_they_are_known_and_stated(wordy: Path):
    file = rewritten(written(wordy, "q8_0"), fields={"tokenizer.ggml.pre": "qwen2"})
    found = verify(file, wordy)
    assert "texts have other token ids, wanted none; the first: " in found.misses(limit_of("q8_0"))[0]
    stated = limit_of("q8_0", max_token_mismatches=found.tokens.mismatches)
    assert found.misses(stated) == []


def test_a_beginning_of_text_that_is_not_added_is_found(llama3: Path):
    file = rewritten(written(llama3, "q8_0"), fields={"tokenizer.ggml.add_bos_token": False})
    assert tokens_of(file, llama3).mismatches >= CLEARLY


def test_special_tokens_that_are_plain_are_found(llama3: Path):
    normal = [1] * len(load_tokenizer(llama3))
    file = rewritten(written(llama3, "q8_0"), fields={"tokenizer.ggml.token_type": normal})
    assert tokens_of(file, llama3).mismatches >= CLEARLY


def test_a_miss_names_the_figure_and_the_limit(llama3: Path):
    found = proof(llama3, "q4_k_m")
    (miss,) = found.misses(limit_of("q4_k_m", max_kl=1e-4))
    assert "mean KL to the source is" in miss and "wanted at most 1e-04" in miss


def test_every_file_type_has_a_limit():
    assert set(FILE_TYPES) <= set(LIMITS)


def test_windows_of_a_single_document_say_too_little(folder: Path):
    source = source_of(folder, "llama3")
    own = tiny_model(folder / "single", hidden=256)
    windows = Windows.open(tiny_tokens(folder / "one", own, rows=None, length=512))
    assert len(windows) == 1
    with pytest.raises(UserError, match="at least 2"):
        verify(written(source, "f16"), source, windows=windows)
