import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest

from demiurgic.core.artifacts import Adapter, Gguf, Manifest, Model
from demiurgic.core.errors import UserError
from demiurgic.export.export import STAGE, TENSORS, VERIFICATION, ExportConfig, advice
from demiurgic.models.gguf.limits import limit_of
from demiurgic.models.gguf.llama import Llama
from demiurgic.models.gguf.tokenization import TokenCheck
from demiurgic.models.gguf.verify import verify
from demiurgic.models.gguf.write import write_gguf
from demiurgic.run.engine import Engine
from demiurgic.run.gates import Gate, judge
from demiurgic.run.step import run_stage
from gguf_faults import rewritten
from gguf_files import fields_of
from tiny_adapters import peft_adapter, pretrained_base
from tiny_training import quiet, tiny_start, tiny_tokens

STD = 0.04


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained_base(tmp_path_factory.mktemp("export") / "helper", std=STD)


def export(model: Path, out: Path, **values: Any) -> Manifest:
    return Manifest.read(run_stage(STAGE, {"model": model, **values}, out, context=quiet(engine=Engine(workers=1))))


def test_a_model_becomes_one_file_that_is_its_source(base: Path, tmp_path: Path):
    manifest = export(base, tmp_path / "file", type="f16")
    found = Gguf.open(tmp_path / "file")
    digest = Model.open(base).digest
    assert found.file.name == f"{digest[:12]}-f16.gguf"
    assert fields_of(found.file)["general.name"] == digest[:12]
    metrics = manifest.summary.metrics
    assert metrics["kl_to_source"].high < 1e-5 and metrics["kl_to_source"].n == 12
    assert metrics["token_mismatches"].value == 0
    assert metrics["greedy_equal"].value == 1
    assert metrics["file_bytes"].value == found.file.stat().st_size
    assert metrics["ratio"].value == pytest.approx(2, rel=0.2)
    with Llama(found.file, context=16, threads=1) as llama:
        assert len(llama.greedy([1, 2, 3], 4)) == 4


def test_types_and_true_bits_per_weight_are_shown(base: Path, tmp_path: Path):
    manifest = export(base, tmp_path / "file", type="q4_k_m")
    types = json.loads((tmp_path / "file" / TENSORS).read_text())
    assert types["blk.0.attn_q.weight"] == "q4_k" and types["output.weight"] == "q6_k"
    reader = gguf.GGUFReader(Gguf.open(tmp_path / "file").file)
    assert {tensor.name: tensor.tensor_type.name.lower() for tensor in reader.tensors} == types
    assert manifest.summary.facts["tensor_types"] == {
        type: list(types.values()).count(type) for type in set(types.values())
    }
    bits = (
        8 * sum(tensor.n_bytes for tensor in reader.tensors) / sum(int(tensor.n_elements) for tensor in reader.tensors)
    )
    assert manifest.summary.metrics["bits_per_weight"].value == pytest.approx(bits)


def test_the_distance_to_the_source_can_be_a_gate(base: Path, tmp_path: Path):
    summary = export(base, tmp_path / "file", type="q4_k_m").summary
    (passed,) = judge(summary, [Gate(metric="kl_to_source", max=0.02)])
    (missed,) = judge(summary, [Gate(metric="kl_to_source", max=1e-4)])
    assert passed.passed and not missed.passed


def test_a_file_beyond_its_limit_is_not_published_and_kept_to_be_looked_at(base: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"not its source: mean KL .* wanted at most 1e-04.*finer type \(.*q5_k_s"):
        export(base, tmp_path / "file", type="q4_k_m", max_kl=1e-4)
    assert not (tmp_path / "file").exists()
    (partial,) = tmp_path.glob("file-*.partial")
    assert next((partial / "gguf").iterdir()).name.endswith("-q4_k_m.gguf")
    assert "mean KL" in json.loads((partial / VERIFICATION).read_text())["misses"][0]
    assert not (partial / "manifest.json").exists()


def test_a_miss_of_the_kl_alone_is_told_what_real_models_lose(base: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"state it as max_kl.*billions.*Llama-3-8B in q4_k_m is 3.1e-02"):
        export(base, tmp_path / "file", type="q4_k_m", max_kl=1e-4)


@pytest.mark.parametrize("max_kl", [None, 0.15])
def test_a_fault_is_to_be_reported_and_not_to_be_allowed(max_kl: float | None, base: Path, tmp_path: Path):
    right = write_gguf(base, tmp_path / "right.gguf", type="q4_k_m", name="helper").file
    found = verify(rewritten(right, fields={"layer_norm_rms_epsilon": 1e-3}), base)
    config = ExportConfig(model=base, type="q4_k_m", max_kl=max_kl)
    says = advice(config, found, limit_of("q4_k_m", max_kl=max_kl))
    assert "report it" in says and "max_kl" not in says


def test_other_token_ids_are_told_where_they_are_known_to_differ(tmp_path: Path):
    mistral = pretrained_base(tmp_path / "mistral", "mistral", std=STD)
    right = verify(write_gguf(mistral, tmp_path / "file.gguf", type="q8_0", name="mistral").file, mistral)
    found = replace(right, tokens=TokenCheck(253, 2, "'नमस्ते' is [1] in the source and [2] in the file"))
    says = advice(ExportConfig(model=mistral, type="q8_0"), found, limit_of("q8_0"))
    assert "known to differ on combining marks" in says and "max_token_mismatches" in says


def test_equal_models_make_equal_files_whatever_their_steps_are_called(base: Path, tmp_path: Path):
    other = Path(shutil.copytree(base.parent, tmp_path / "other")) / "model"
    data = json.loads((other.parent / "manifest.json").read_text())
    (other.parent / "manifest.json").write_text(json.dumps({**data, "step": "another name"}))
    for model, out in ((base, "first"), (other, "second")):
        export(model, tmp_path / out, type="q8_0")
    first, second = (Gguf.open(tmp_path / out) for out in ("first", "second"))
    assert first.digest == second.digest


def test_a_file_has_the_name_that_is_asked_for(base: Path, tmp_path: Path):
    export(base, tmp_path / "file", type="q8_0", name="helper-0.1")
    file = Gguf.open(tmp_path / "file").file
    assert (file.name, fields_of(file)["general.name"]) == ("helper-0.1-q8_0.gguf", "helper-0.1")


def test_a_limit_of_ones_own_is_recorded(base: Path, tmp_path: Path):
    facts = export(base, tmp_path / "file", type="q2_k", max_kl=3.0).summary.facts
    assert (facts["limit"], facts["own_limit"]) == (3.0, True)


def test_nothing_of_this_machine_is_in_the_file(base: Path, tmp_path: Path):
    export(base, tmp_path / "file", type="q8_0")
    raw = Gguf.open(tmp_path / "file").file.read_bytes()
    for telling in (str(tmp_path), str(base), str(Path.home()), Path.cwd().name):
        assert telling.encode() not in raw


def test_the_same_model_gives_the_same_bytes(base: Path, tmp_path: Path):
    first = export(base, tmp_path / "first", type="q4_k_m")
    second = export(base, tmp_path / "second", type="q4_k_m")
    assert first.parts["gguf"].digest == second.parts["gguf"].digest


def test_rows_of_ones_own_are_compared_on(tmp_path: Path):
    model = tiny_start(tmp_path / "start", hidden=256)
    tokens = tiny_tokens(tmp_path / "rows", model, length=64)
    manifest = export(model, tmp_path / "file", type="f16", data=tokens)
    assert manifest.summary.facts["compared_on"] == "data"


def test_tokens_of_another_tokenizer_are_refused(base: Path, tmp_path: Path):
    tokens = tiny_tokens(tmp_path / "rows", tiny_start(tmp_path / "start"), length=64)
    with pytest.raises(UserError, match="made with another tokenizer than that of the model"):
        export(base, tmp_path / "file", type="f16", data=tokens)


def test_where_a_model_came_from_is_stated(base: Path, tmp_path: Path):
    manifest = Manifest.read(base.parent)
    data = json.loads((base.parent / "manifest.json").read_text())
    data["summary"]["facts"] = {"source": "someone/helper", "revision": "0" * 40, "licence": "apache-2.0"}
    (tmp_path / "helper").mkdir()
    (tmp_path / "helper" / "model").symlink_to(base)
    (tmp_path / "helper" / "manifest.json").write_text(json.dumps(data))
    facts = export(tmp_path / "helper" / "model", tmp_path / "file", type="q8_0").summary.facts
    assert facts["origins"] == [
        {"step": manifest.step, "source": "someone/helper", "revision": "0" * 40, "licence": "apache-2.0"}
    ]


@pytest.fixture(scope="module")
def adapter(base: Path) -> Path:
    return peft_adapter(base.parent.with_name("style"), base, use_rslora=True, alpha_pattern={"q_proj": 3})


@pytest.mark.parametrize("type", ["f32", "f16"])
def test_an_adapter_becomes_a_file_that_does_to_its_base_what_it_did(
    type: str, base: Path, adapter: Path, tmp_path: Path
):
    metrics = export(adapter, tmp_path / "file", base=base, type=type).summary.metrics
    assert Gguf.open(tmp_path / "file").file.name == f"{Adapter.open(adapter).digest[:12]}-{type}.gguf"
    assert metrics["effect_kl"].value > 1e-4
    assert metrics["kl_to_source"].value < 1e-5
    assert metrics["kl_share_of_effect"].value < 0.01
    assert not list((tmp_path / "file").glob("*.gguf"))


def test_an_adapter_of_another_base_is_refused(adapter: Path, tmp_path: Path):
    other = pretrained_base(tmp_path / "other", std=STD, seed=1)
    with pytest.raises(UserError, match=r"was trained on the model \w{16} .* and base is other, \w{16}"):
        export(adapter, tmp_path / "file", base=other, type="f16")


def test_an_adapter_of_a_4_bit_base_is_refused_with_the_way_out(base: Path, tmp_path: Path):
    adapter = peft_adapter(tmp_path / "quick", base, precision="nf4")
    with pytest.raises(UserError, match=r"in 4 bits .*onto: dequantized"):
        export(adapter, tmp_path / "file", base=base, type="f16")


def test_an_adapter_that_does_nothing_is_refused(base: Path, tmp_path: Path):
    adapter = peft_adapter(tmp_path / "idle", base, strength=0.0)
    with pytest.raises(UserError, match="the adapter changes nothing"):
        export(adapter, tmp_path / "file", base=base, type="f16")
