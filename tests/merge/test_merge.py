"""The stage `merge`, whole: four architectures, every precision, and who is refused with what figures."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from demiurgic.core.artifacts import Adapter, Dataset, Manifest, Model
from demiurgic.core.errors import UserError
from demiurgic.evaluate.origins import refuse_seen, training_of
from demiurgic.merge.merge import STAGE
from demiurgic.models.load import load_model
from demiurgic.models.lora import ADAPTER_WEIGHTS, apply_adapter
from demiurgic.models.shards import stored_tensors
from demiurgic.run.step import run_stage
from demiurgic.train.tokenize import STAGE as TOKENIZE
from pretrained import FAMILIES, Family
from tiny_adapters import change_config, peft_adapter, pretrained_base, store_as
from tiny_models import conversation, tiny_dataset
from tiny_training import artifact, other_tokens, quiet, tiny_start, tiny_tokens, train

IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])


def merge(base: Path, adapter: Path, out: Path, **values: Any) -> Path:
    """Run the stage; returns the part's folder."""
    return run_stage(STAGE, {"base": base, "adapter": adapter, **values}, out, context=quiet()) / "model"


def metrics_of(part: Path) -> dict[str, float]:
    return {name: metric.value for name, metric in Manifest.read(part.parent).summary.metrics.items()}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrained_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapter(tmp_path_factory.mktemp("made"), base)


@pytest.fixture
def copy(adapter: Path, tmp_path: Path) -> Path:
    """An adapter that a test may change."""
    return artifact(shutil.copytree(adapter, tmp_path / "copy" / "adapter"), kind="adapter")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_merged_folder_predicts_what_the_adapter_did(family: Family, tmp_path: Path):
    base = pretrained_base(tmp_path, family)
    options = {"use_rslora": True, "alpha_pattern": {"q_proj": 3}, "rank_pattern": {"mlp.*": 2}}
    adapter = peft_adapter(tmp_path, base, **options)
    part = merge(base, adapter, tmp_path / "merged")
    with torch.no_grad():
        applied = apply_adapter(load_model(base, device="cpu"), adapter)
        torch.testing.assert_close(load_model(part, device="cpu")(IDS).logits, applied(IDS).logits, rtol=0, atol=1e-3)
    metrics = metrics_of(part)
    assert metrics["kl"] <= 1e-5
    assert metrics["effect_kl"] > 1e-2
    assert metrics["num_tensors"] == 14


def test_everything_but_the_updated_tensors_is_the_bases(base: Path, tmp_path: Path):
    part = merge(base, peft_adapter(tmp_path, base, target_modules=["q_proj"]), tmp_path / "merged")
    before, after = stored_tensors(base), stored_tensors(part)
    assert [name for name in before if before[name].raw() != after[name].raw()] == [
        f"model.layers.{n}.self_attn.q_proj.weight" for n in range(2)
    ]
    files = {path.name for path in base.iterdir()}
    assert {path.name for path in part.iterdir()} == files
    for name in files - {"model.safetensors"}:
        assert (base / name).read_bytes() == (part / name).read_bytes()


def test_a_base_of_several_files(base: Path, tmp_path: Path):
    part = tmp_path / "sharded" / "model"
    shutil.copytree(base, part)
    load_model(part, device="cpu").save_pretrained(part, max_shard_size="500KB")
    (part / "model.safetensors").unlink()
    artifact(part, kind="model")
    merged = merge(part, peft_adapter(tmp_path, part), tmp_path / "merged")
    assert len(list(merged.glob("*.safetensors"))) > 2
    assert {f.name for f in merged.glob("*.safetensors")} == {f.name for f in part.glob("*.safetensors")}
    assert metrics_of(merged)["kl"] <= 1e-5


def test_a_trained_adapter_end_to_end(tmp_path: Path):
    start = tiny_start(tmp_path / "start")
    rows = tiny_tokens(tmp_path / "rows", start)
    step = train(tmp_path, lora={"rank": 4}, steps=20, learning_rate=2e-2)
    part = merge(start, step / "adapter", tmp_path / "merged", data=other_tokens(tmp_path / "others", start))
    summary = Manifest.read(part.parent).summary
    assert summary.facts["adapter"] == Adapter.open(step).digest
    assert summary.facts["base"] == Model.open(start).digest
    assert (summary.facts["compared_on"], summary.facts["scaling"], summary.facts["dtype"]) == ("data", 2.0, "fp32")
    assert summary.metrics["kl"].low <= summary.metrics["kl"].value <= summary.metrics["kl"].high
    assert rows.is_dir()


def test_the_evidence_has_every_tensor(base: Path, adapter: Path, tmp_path: Path):
    part = merge(base, adapter, tmp_path / "merged")
    proof = json.loads((part.parent / "proof.json").read_text())
    assert len(proof["tensors"]) == 14
    assert all(tensor["projection"] == pytest.approx(1, abs=1e-4) for tensor in proof["tensors"])
    assert proof["strangers"] == []
    assert max(proof["multiples_of_bounds"].values()) < 1


def test_the_same_merge_twice_is_the_same(base: Path, adapter: Path, tmp_path: Path):
    first, second = (merge(base, adapter, tmp_path / name) for name in "ab")
    assert Model.open(first).digest == Model.open(second).digest
    assert metrics_of(first) == metrics_of(second)


class TestPrecision:
    def test_a_base_in_bf16_stays_in_bf16(self, tmp_path: Path):
        start = tiny_start(tmp_path / "start")
        store_as(start, "bfloat16")
        artifact(start, kind="model")
        part = merge(start, peft_adapter(tmp_path, start, strength=0.1), tmp_path / "merged")
        assert {tensor.dtype for tensor in stored_tensors(part).values()} == {"BF16"}
        assert Manifest.read(part.parent).summary.facts["dtype"] == "bf16"

    def test_an_update_below_the_steps_of_bf16_is_refused_and_fits_in_fp32(self, tmp_path: Path):
        start = pretrained_base(tmp_path / "start", dtype="bfloat16")
        adapter = peft_adapter(tmp_path, start, strength=0.003)
        words = r"projection.*Its dtype is too coarse: bf16 keeps \S+ % of the update of model\.\S+; set dtype: fp32\.$"
        with pytest.raises(UserError, match=words):
            merge(start, adapter, tmp_path / "merged")
        assert not (tmp_path / "merged").exists()
        part = merge(start, adapter, tmp_path / "merged", dtype="fp32")
        assert json.loads((part / "config.json").read_text())["dtype"] == "float32"
        assert load_model(part, device="cpu").dtype == torch.float32
        assert metrics_of(part)["kl_share_of_effect"] < 1e-4

    def test_an_effect_below_what_fp32_compares_is_said_to_be_that(self, base: Path, tmp_path: Path):
        adapter = peft_adapter(tmp_path, base, strength=3e-6)
        words = (
            r"\(kl_share_of_effect\).*the adapter's effect is below what can be compared in fp32\. Train the adapter"
        )
        with pytest.raises(UserError, match=words):
            merge(base, adapter, tmp_path / "merged")

    def test_an_update_below_the_steps_of_fp32_is_said_to_be_that(self, base: Path, tmp_path: Path):
        adapter = peft_adapter(tmp_path, base, strength=1e-8)
        with pytest.raises(
            UserError, match=r"The update is too small: fp32 keeps \S+ % of the update of model\.\S+\. Train"
        ):
            merge(base, adapter, tmp_path / "merged")


class TestTrainedIn4Bits:
    @pytest.fixture
    def nf4(self, base: Path, tmp_path: Path) -> Path:
        return peft_adapter(tmp_path, base, strength=0.01, precision="nf4")

    def test_onto_the_dequantized_base(self, base: Path, nf4: Path, tmp_path: Path):
        part = merge(base, nf4, tmp_path / "merged", onto="dequantized")
        assert metrics_of(part)["kl"] <= 1e-5
        assert not (part.parent / "refused").exists()

    @pytest.mark.parametrize(
        ("onto", "words"),
        [
            ("base", r"with onto: base.*KL.* is 1\.\d .*% of the adapter's whole effect.*Set onto: dequantized\."),
            ("nf4", r"onto: nf4.*Of the update \S+ % survives.*Set onto: dequantized, and quantize the merged model"),
        ],
    )
    def test_elsewhere_it_is_refused_with_the_figures(
        self, base: Path, nf4: Path, tmp_path: Path, onto: str, words: str
    ):
        with pytest.raises(UserError, match=words):
            merge(base, nf4, tmp_path / "merged", onto=onto)
        assert not list(tmp_path.glob("merged*/model"))
        assert not list(tmp_path.glob("merged*/refused"))

    @pytest.mark.parametrize("onto", ["dequantized", "nf4"])
    def test_an_adapter_of_the_full_base_is_refused_there(self, base: Path, adapter: Path, tmp_path: Path, onto: str):
        with pytest.raises(
            UserError, match=rf"was trained on its base in full precision; with onto: {onto}.*Set onto: base"
        ):
            merge(base, adapter, tmp_path / "merged", onto=onto)

    def test_of_an_adapter_from_elsewhere_the_precision_is_a_guess(self, base: Path, copy: Path, tmp_path: Path):
        facts = json.loads((copy / "base.json").read_text())
        (copy / "base.json").write_text(json.dumps({**facts, "proven": False}))
        words = (
            r"does not say what it was trained on, and is taken to be trained on its base in full precision; .*"
            r"Set onto: base\. If it was trained on 4 bits, fetch it with precision: nf4, and set onto: dequantized\."
        )
        with pytest.raises(UserError, match=words):
            merge(base, artifact(copy, kind="adapter"), tmp_path / "merged", onto="dequantized")

    def test_trained_and_merged(self, tmp_path: Path):
        start = tiny_start(tmp_path / "start")
        tiny_tokens(tmp_path / "rows", start)
        step = train(tmp_path, lora={"rank": 4, "precision": "nf4"}, steps=12, learning_rate=2e-2)
        part = merge(start, step / "adapter", tmp_path / "merged", onto="dequantized")
        assert metrics_of(part)["kl_share_of_effect"] < 1e-4


class TestRefused:
    def test_an_adapter_for_another_base_with_both_digests(self, adapter: Path, tmp_path: Path):
        other = pretrained_base(tmp_path / "other", seed=1)
        digests = json.loads((adapter / "base.json").read_text())["base_digest"][:16], Model.open(other).digest[:16]
        with pytest.raises(
            UserError, match=rf"was trained on the model {digests[0]} .tests., and base is other, {digests[1]}"
        ):
            merge(other, adapter, tmp_path / "merged")

    def test_a_base_that_is_stored_quantized(self, base: Path, tmp_path: Path):
        part = tmp_path / "q" / "model"
        shutil.copytree(base, part)
        adapter = peft_adapter(tmp_path, base)
        config = json.loads((part / "config.json").read_text())
        (part / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "awq"}}))
        artifact(part, kind="model")
        facts = json.loads((adapter / "base.json").read_text())
        (adapter / "base.json").write_text(json.dumps({**facts, "base_digest": Model.open(part).digest}))
        with pytest.raises(UserError, match="quantized already .awq."):
            merge(part, artifact(adapter, kind="adapter"), tmp_path / "merged")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"use_dora": True}, "DoRA"),
            ({"bias": "all"}, "trained biases"),
            ({"modules_to_save": ["embed_tokens"]}, "modules trained whole .embed_tokens."),
            ({"init_lora_weights": "olora"}, "changes the base"),
        ],
    )
    def test_more_than_updates_of_linear_layers(
        self, base: Path, copy: Path, tmp_path: Path, changes: dict[str, Any], words: str
    ):
        with pytest.raises(UserError, match=f"more than updates of linear layers: .*{words}"):
            merge(base, change_config(copy, **changes), tmp_path / "merged")

    def test_an_adapter_on_the_head(self, base: Path, tmp_path: Path):
        adapter = peft_adapter(tmp_path, base, target_modules=["lm_head"])
        with pytest.raises(UserError, match="updates lm_head, which is no linear layer in the blocks"):
            merge(base, adapter, tmp_path / "merged")

    def test_an_adapter_that_changes_nothing(self, base: Path, copy: Path, tmp_path: Path):
        from safetensors.torch import load_file, save_file

        tensors = load_file(copy / ADAPTER_WEIGHTS)
        for name in tensors:
            if "lora_B" in name:
                tensors[name].zero_()
        save_file(tensors, copy / ADAPTER_WEIGHTS)
        with pytest.raises(UserError, match="changes nothing: every update is zero"):
            merge(base, artifact(copy, kind="adapter"), tmp_path / "merged")

    def test_tokens_of_another_tokenizer(self, base: Path, adapter: Path, tmp_path: Path):
        tokens = tiny_tokens(tmp_path / "rows", tiny_start(tmp_path / "start"))
        with pytest.raises(UserError, match="made with another tokenizer than that of the model"):
            merge(base, adapter, tmp_path / "merged", data=tokens)

    def test_a_model_where_an_adapter_is_wanted(self, base: Path, tmp_path: Path):
        with pytest.raises(ValidationError, match="is a model; wanted an adapter"):
            merge(base, base, tmp_path / "merged")


def test_a_merged_model_is_a_model_of_all_it_was_made_from(tmp_path: Path):
    start = tiny_start(tmp_path / "start")
    words = tmp_path / "words" / "tokenizer"
    shutil.copytree(start, words, ignore=shutil.ignore_patterns("*.safetensors", "config.json", "generation*"))
    data = tiny_dataset(tmp_path / "data", [conversation(f"add {n}", f"return {n}", id=f"r:{n}") for n in range(9)])
    values = {"data": data, "tokenizer": artifact(words, kind="tokenizer"), "length": 32}
    rows = run_stage(TOKENIZE, values, tmp_path / "rows", context=quiet())
    step = train(tmp_path, data=rows, lora={"rank": 2}, steps=4, learning_rate=2e-2)
    model = Model.open(merge(start, step / "adapter", tmp_path / "merged"))
    assert training_of(model) == {}
    with pytest.raises(UserError, match="its step rows read it as `data`"):
        refuse_seen({"merged": model}, Dataset.open(data))
