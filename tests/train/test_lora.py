"""Adapters in training: what is trained and what is not, what is written, and that a stop changes nothing."""

import json
import random
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from pydantic import ValidationError

from demiurgic.core.artifacts import Adapter, Manifest, Model
from demiurgic.core.errors import UserError
from demiurgic.models.likelihood import token_nats
from demiurgic.models.load import load_model
from demiurgic.models.lora import LoraSpec, apply_adapter, read_base, read_updates
from demiurgic.models.windows import Windows
from demiurgic.run.step import step_key
from demiurgic.train.adapter import Lora
from demiurgic.train.checkpoint import Checkpoints
from demiurgic.train.config import TrainConfig
from demiurgic.train.train import STAGE
from stopped import PowerCutError, cut, interrupted
from tiny_adapters import store_as
from tiny_training import artifact, distil, log_of, other_tokens, tiny_start, tiny_tokens, train

LORA = {"rank": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, another model to learn from, and windows to train and to choose on."""
    folder = tmp_path_factory.mktemp("lora")
    start = tiny_start(folder / "start")
    tiny_tokens(folder / "rows", start)
    other_tokens(folder / "others", start)
    tiny_start(folder / "teacher", seed=1)
    return folder


def adapted(folder: Path, out: Path, *, lora: dict[str, Any] = LORA, **values: Any) -> Path:
    """Train an adapter for a few steps; returns the part's folder."""
    return train(folder, str(out), **{"lora": lora, "steps": 4, "learning_rate": 1e-2, **values}) / "adapter"


def updates_of(part: Path) -> dict[str, torch.Tensor]:
    return {update.module: update.delta_OI() for update in read_updates(part)}


class TestWhatIsTrained:
    def test_the_loss_falls_and_the_start_weights_stay(self, folder: Path, tmp_path: Path):
        digest = Model.open(folder / "start").digest
        lines = log_of(adapted(folder, tmp_path / "a", steps=20, learning_rate=5e-2).parent)
        assert lines[-1]["total"] < lines[0]["total"] - 0.05
        assert Model.open(folder / "start").digest == digest

    def test_all_linear_layers_of_the_blocks_and_nothing_else(self, folder: Path, tmp_path: Path):
        found = updates_of(adapted(folder, tmp_path / "a"))
        layers = {"self_attn": ("q_proj", "k_proj", "v_proj", "o_proj"), "mlp": ("gate_proj", "up_proj", "down_proj")}
        assert found.keys() == {
            f"model.layers.{n}.{part}.{name}" for n in range(2) for part, names in layers.items() for name in names
        }
        assert all(delta_OI.any() for delta_OI in found.values())

    def test_targets_are_the_ends_of_names(self, folder: Path, tmp_path: Path):
        found = updates_of(adapted(folder, tmp_path / "a", lora={"targets": ["mlp.up_proj", "q_proj"]}))
        assert {name.partition("layers.")[2] for name in found} == {
            f"{n}.{name}" for n in range(2) for name in ("mlp.up_proj", "self_attn.q_proj")
        }

    def test_the_first_step_starts_from_the_base(self, folder: Path, tmp_path: Path):
        plain = log_of(train(folder, str(tmp_path / "plain"), steps=1))[0]["total"]
        with_lora = log_of(adapted(folder, tmp_path / "a", steps=1, lora={"rank": 4, "dropout": 0.5}).parent)[0][
            "total"
        ]
        assert with_lora == pytest.approx(plain, rel=1e-6)

    def test_a_live_teacher_teaches_an_adapter(self, folder: Path, tmp_path: Path):
        values = {"teacher": folder / "teacher" / "model", "losses": ["forward_kl"], "steps": 20}
        lines = log_of(adapted(folder, tmp_path / "a", **values).parent)
        assert lines[-1]["total"] < lines[0]["total"]

    def test_the_seed_alone_decides(self, folder: Path, tmp_path: Path):
        torch.manual_seed(1)
        first = adapted(folder, tmp_path / "a")
        torch.manual_seed(2)
        assert Adapter.open(adapted(folder, tmp_path / "b")).digest == Adapter.open(first).digest


class TestTheFolder:
    def test_peft_loads_it_and_predicts_as_the_training_left_it(self, folder: Path, tmp_path: Path):
        values = {"held_out": folder / "others" / "tokens", "evaluate_every": 2}
        part = adapted(folder, tmp_path / "a", lora={"rank": 4, "alpha": 3.0, "rslora": True}, **values)
        windows = Windows.open(folder / "others" / "tokens")
        batch = windows.batch(range(len(windows)))
        ids_BT, documents_BT = torch.from_numpy(batch.ids_BT), torch.from_numpy(batch.documents_BT)
        model = apply_adapter(load_model(folder / "start" / "model", device="cpu"), part)
        weights_BT = torch.from_numpy(batch.weights_BT)
        nats = (token_nats(model, ids_BT, documents_BT=documents_BT) * weights_BT).sum() / weights_BT.sum()
        assert float(nats) == pytest.approx(Manifest.read(part.parent).summary.metrics["held_out_loss"].value, rel=1e-5)

    def test_it_says_what_it_is_and_no_path(self, folder: Path, tmp_path: Path):
        part = adapted(folder, tmp_path / "a", lora={"rank": 8})
        assert sorted(path.name for path in part.iterdir()) == [
            "adapter_config.json", "adapter_model.safetensors", "base.json",
        ]  # fmt: skip
        spec = LoraSpec.read(part)
        assert (spec.rank, spec.alpha, spec.rslora, spec.beyond_plain) == (8, 16.0, False, [])
        assert LoraConfig.from_pretrained(str(part)).base_model_name_or_path == ""
        assert str(folder) not in (part / "adapter_config.json").read_text() + (part / "base.json").read_text()

    def test_base_json_names_the_base_and_its_precision(self, folder: Path, tmp_path: Path):
        facts = read_base(adapted(folder, tmp_path / "a"))
        assert facts.base_digest == Model.open(folder / "start").digest
        assert (facts.precision, facts.source, facts.revision, facts.proven) == ("fp32", None, None, True)

    def test_a_base_from_the_hub_is_named_as_the_hub_does(self, folder: Path, tmp_path: Path):
        start = tiny_start(tmp_path / "fetched")
        manifest = json.loads((start.parent / "manifest.json").read_text())
        manifest["summary"]["facts"] = {"source": "someone/small", "revision": "0" * 40}
        (start.parent / "manifest.json").write_text(json.dumps(manifest))
        part = adapted(folder, tmp_path / "a", model=start)
        config = LoraConfig.from_pretrained(str(part))
        assert (config.base_model_name_or_path, config.revision) == ("someone/small", "0" * 40)
        facts = read_base(part)
        assert (facts.source, facts.revision) == ("someone/small", "0" * 40)
        assert Model.open(start).digest == Model.open(folder / "start").digest
        assert Manifest.read(part.parent).key != Manifest.read(adapted(folder, tmp_path / "b").parent).key

    def test_a_base_of_the_same_content_under_another_name_gives_the_same_adapter(self, folder: Path, tmp_path: Path):
        manifests = []
        for name in ("one", "other"):
            start = artifact(shutil.copytree(folder / "start" / "model", tmp_path / name / "model"), kind="model")
            manifests.append(Manifest.read(adapted(folder, tmp_path / f"from-{name}", model=start).parent))
        assert manifests[0].key == manifests[1].key
        assert manifests[0].parts["adapter"].digest == manifests[1].parts["adapter"].digest

    def test_the_versions_of_what_it_was_made_with_are_kept(self, folder: Path, tmp_path: Path):
        full, nf4 = (
            Manifest.read(adapted(folder, tmp_path / held, lora={"rank": 4, "precision": held}).parent)
            for held in ("full", "nf4")
        )
        assert (full.took["versions"]["peft"], nf4.took["versions"]["bitsandbytes"]) == (
            version("peft"), version("bitsandbytes"),
        )  # fmt: skip
        assert "bitsandbytes" not in full.took["versions"]
        assert "peft" not in Manifest.read(train(folder, str(tmp_path / "plain"), steps=1)).took["versions"]

    def test_the_summary_says_base_and_size(self, folder: Path, tmp_path: Path):
        summary = Manifest.read(adapted(folder, tmp_path / "a").parent).summary
        # rank 4 on two layers of 64 wide, 96 inside, 4 heads of 16 and 2 of them for keys and values
        per_layer = 4 * ((64 + 64) * 2 + (64 + 32) * 2 + (64 + 96) * 3)
        assert summary.metrics["trained_parameters"].value == 2 * per_layer
        facts = {name: summary.facts[name] for name in ("base_precision", "rank", "alpha", "scaling")}
        assert facts == {"base_precision": "fp32", "rank": 4, "alpha": 8.0, "scaling": 2.0}


@pytest.fixture(scope="module")
def bf16_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base, stored in bf16."""
    start = tiny_start(tmp_path_factory.mktemp("bf16") / "start")
    store_as(start, "bfloat16")
    return artifact(start, kind="model")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("held", ["full", "nf4"])
def test_on_a_base_stored_in_bf16_the_adapter_is_fp32_and_learns(
    folder: Path, tmp_path: Path, bf16_start: Path, precision: str, held: str
):
    lora = {"rank": 4, "precision": held}
    values = {"model": bf16_start, "precision": precision, "steps": 20, "learning_rate": 5e-2}
    part = adapted(folder, tmp_path / "a", lora=lora, **values)
    lines = log_of(part.parent)
    assert lines[-1]["total"] < lines[0]["total"] - 0.05
    assert {update.b_OR.dtype for update in read_updates(part)} == {torch.float32}
    assert read_base(part).precision == ("bf16" if held == "full" else "nf4")


STOPPED = {"rank": 4, "dropout": 0.3}

KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tiny_training import distil, quiet
distil(Path({folder!r}), Path({out!r}), quiet(checkpoint_seconds=0), lora={lora!r})
"""


@pytest.fixture(scope="module")
def whole(folder: Path) -> str:
    """The digest of an adapter whose training was never stopped: teacher, accumulation, dropout, held-out windows."""
    return Adapter.open(distil(folder, folder / "whole", lora=STOPPED)).digest


class TestStopping:
    def test_after_ctrl_c_and_a_power_cut_the_result_is_the_same(self, folder: Path, tmp_path: Path, whole: str):
        with pytest.raises(KeyboardInterrupt):
            distil(folder, tmp_path / "a", interrupted(5), lora=STOPPED)
        with pytest.raises(PowerCutError):
            distil(folder, tmp_path / "a", cut(6, checkpoint_seconds=0), lora=STOPPED)
        assert Adapter.open(distil(folder, tmp_path / "a", lora=STOPPED)).digest == whole

    def test_kill_9_at_a_random_moment_changes_nothing(self, folder: Path, tmp_path: Path, whole: str):
        out = tmp_path / "a"
        tests = str(Path(__file__).parents[1])
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED.format(tests=tests, folder=str(folder), out=str(out), lora=STOPPED)]
        )
        wanted = random.Random().randint(1, 12)
        while child.poll() is None and not any(
            log.read_bytes().count(b"\n") >= wanted for log in tmp_path.glob("a-*.partial/log.jsonl")
        ):
            time.sleep(0.002)
        child.kill()
        child.wait()
        # a fast machine may have finished before the kill
        step = out if out.exists() else distil(folder, out, lora=STOPPED)
        assert Adapter.open(step).digest == whole

    def test_a_kill_leaves_a_checkpoint_of_the_adapter_alone(self, folder: Path, tmp_path: Path):
        with pytest.raises(PowerCutError):
            adapted(folder, tmp_path / "a", context=cut(3, checkpoint_seconds=0))
        (partial,) = tmp_path.glob("a-*.partial")
        checkpoint = Checkpoints(partial / "checkpoint").newest()
        assert checkpoint is not None
        assert all("lora_" in name for name in checkpoint.weights)
        assert len(checkpoint.optimizer["state"]) == len(checkpoint.weights)

    def test_an_interruption_after_the_training_does_not_repeat_it(self, folder: Path, tmp_path: Path):
        step = adapted(folder, tmp_path / "a").parent
        digest, key = Adapter.open(step).digest, Manifest.read(step).key
        (step / "manifest.json").unlink()
        step.rename(tmp_path / f"a-{key}.partial")
        again = adapted(folder, tmp_path / "a", context=cut(1, checkpoint_seconds=0))
        assert Adapter.open(again).digest == digest


class TestIn4Bits:
    def test_it_learns_between_evaluations_and_says_so(self, folder: Path, tmp_path: Path):
        values = {"held_out": folder / "others" / "tokens", "evaluate_every": 4, "steps": 12, "learning_rate": 5e-2}
        part = adapted(folder, tmp_path / "a", lora={"rank": 4, "precision": "nf4"}, **values)
        assert read_base(part).precision == "nf4"
        steps = [line for line in log_of(part.parent) if "total" in line]
        assert steps[-1]["total"] < steps[0]["total"] - 0.05
        # A layer that an evaluation repacked would pass no gradient on to the layers below it.
        assert all(line["gradient_norm"] > 0 for line in steps)
        assert all(delta_OI.any() for delta_OI in updates_of(part).values())

    def test_gradients_are_the_same_before_and_after_an_evaluation(self, folder: Path, tmp_path: Path):
        once = adapted(folder, tmp_path / "a", lora={"rank": 4, "precision": "nf4"})
        values = {"held_out": folder / "others" / "tokens", "evaluate_every": 1}
        often = adapted(folder, tmp_path / "b", lora={"rank": 4, "precision": "nf4"}, **values)
        norms = [[line["gradient_norm"] for line in log_of(p.parent) if "total" in line] for p in (once, often)]
        assert norms[0] == norms[1]

    def test_a_stop_changes_nothing(self, folder: Path, tmp_path: Path):
        lora = {"rank": 4, "precision": "nf4", "dropout": 0.3}
        whole = adapted(folder, tmp_path / "whole", lora=lora)
        with pytest.raises(KeyboardInterrupt):
            adapted(folder, tmp_path / "a", lora=lora, context=interrupted(2))
        assert Adapter.open(adapted(folder, tmp_path / "a", lora=lora)).digest == Adapter.open(whole).digest


class TestConfig:
    def test_a_config_with_lora_makes_an_adapter(self, folder: Path):
        given = {"model": folder / "start" / "model", "data": folder / "rows" / "tokens", "steps": 1}
        assert STAGE.parts(TrainConfig.model_validate(given)) == {"model": Model}
        assert STAGE.parts(TrainConfig.model_validate({**given, "lora": {}})) == {"adapter": Adapter}

    def test_every_setting_of_lora_enters_the_key(self, folder: Path):
        given = {"model": folder / "start" / "model", "data": folder / "rows" / "tokens", "steps": 1}
        settings: list[Any] = [
            None, {}, {"rank": 8}, {"alpha": 8}, {"targets": ["q_proj"]}, {"dropout": 0.1}, {"precision": "nf4"},
            {"rslora": True, "alpha": 16},
        ]  # fmt: skip
        keys = [
            step_key(STAGE, TrainConfig.model_validate({**given, "lora": lora}), seed=0, base=folder)
            for lora in settings
        ]
        assert len(set(keys)) == len(settings)

    def test_the_scaling_is_2_unless_alpha_says_otherwise(self):
        assert [Lora(rank=rank).scaling for rank in (1, 16, 64)] == [2.0, 2.0, 2.0]
        assert Lora(rank=16, alpha=8).scaling == 0.5
        assert Lora(rank=16, alpha=8, rslora=True).scaling == 2.0

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"rslora": True}, r"set alpha \(16 scales rank 16 by 4\)"),
            ({"rank": 0}, "greater than 0"),
            ({"targets": []}, "at least 1 item"),
            ({"targets": "q_proj"}, r"write targets: \[q_proj\]"),
            ({"precision": "int8"}, "'full' or 'nf4'"),
            ({"dropout": 1.0}, "less than 1"),
            ({"r": 8}, "Extra inputs"),
        ],
    )
    def test_a_mistake_is_named(self, values: dict[str, Any], message: str):
        with pytest.raises(ValidationError, match=message):
            Lora.model_validate(values)

    @pytest.mark.parametrize("target", ["q_prj", "lm_head", "embed_tokens", "proj"])
    def test_a_target_that_is_no_linear_layer_of_the_blocks(self, folder: Path, tmp_path: Path, target: str):
        with pytest.raises(UserError, match=f'"{target}".*They are: down_proj, gate_proj'):
            adapted(folder, tmp_path / "a", lora={"targets": [target]})

    def test_a_base_that_is_stored_quantized(self, folder: Path, tmp_path: Path):
        start = tiny_start(tmp_path / "start")
        config = json.loads((start / "config.json").read_text())
        (start / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq"}}))
        artifact(start, kind="model")
        with pytest.raises(UserError, match=r"quantized already \(gptq\).*Use the model they were made from"):
            adapted(folder, tmp_path / "a", model=start)

    def test_a_control_can_match_the_seconds_of_an_adapter(self, folder: Path, tmp_path: Path):
        part = adapted(folder, tmp_path / "a")
        given = {"model": folder / "start" / "model", "data": folder / "rows" / "tokens", "warmup_steps": 30}
        config = TrainConfig.model_validate({**given, "match_seconds": part})
        seconds = Manifest.read(part.parent).summary.metrics["train_seconds"].value
        assert config.key_facts(tmp_path) == {"seconds_to_match": seconds}

    def test_a_merged_model_has_no_seconds_of_its_own(self, folder: Path, tmp_path: Path):
        merged = artifact(tiny_start(tmp_path / "merged"), kind="model")
        path = merged.parent / "manifest.json"
        path.write_text(path.read_text().replace('"tests"', '"merge"'))
        with pytest.raises(UserError, match="Point it to the adapter that was merged"):
            train(folder, str(tmp_path / "s"), match_seconds=merged, warmup_steps=30)
