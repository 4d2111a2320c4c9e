"""The stage `train`, whole, on a model of two layers."""

import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from demiurgic.core.artifacts import Manifest, Model
from demiurgic.core.console import Console
from demiurgic.core.console import Progress as Bar
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric
from demiurgic.models.likelihood import token_nats
from demiurgic.models.load import load_model, save_model
from demiurgic.models.windows import Windows
from demiurgic.run.context import Context
from demiurgic.run.stage import Reference
from demiurgic.run.step import step_key
from demiurgic.train.batch import TokenBatch
from demiurgic.train.losses import LOSSES
from demiurgic.train.objective import objective
from demiurgic.train.signals.live import LiveTeacher
from demiurgic.train.train import STAGE, TrainConfig
from tiny_training import (
    LENGTH,
    artifact,
    components,
    log_of,
    other_tokens,
    quiet,
    same_weights,
    tiny_start,
    tiny_tokens,
    train,
)

KL = {"use": "forward_kl", "weight": 0.9}
CE = {"use": "cross_entropy", "weight": 0.1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Start weights, a teacher that was trained a little, and windows to train and to choose on."""
    folder = tmp_path_factory.mktemp("train")
    start = tiny_start(folder / "start")
    tiny_tokens(folder / "rows", start)
    other_tokens(folder / "others", start)
    train(folder, "teacher", steps=40, learning_rate=1e-2)
    return folder


def metrics_of(step: Path) -> dict[str, float]:
    return {name: metric.value for name, metric in Manifest.read(step).summary.metrics.items()}


def test_a_student_comes_closer_to_its_teacher(folder: Path, tmp_path: Path):
    step = train(folder, str(tmp_path / "s"), steps=30, learning_rate=1e-2, teacher=folder / "teacher", losses=[KL, CE])
    windows = Windows.open(folder / "rows" / "tokens")
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=torch.device("cpu"))
    teacher = LiveTeacher(load_model(folder / "teacher" / "model", device="cpu"), bf16=False)

    def distance(model: Path) -> float:
        module = objective(load_model(model, device="cpu"), teacher=teacher)
        return float(module(batch, float(batch.weights_BT.sum()), components("forward_kl")).raw_K[0])

    assert distance(step / "model") < 0.5 * distance(folder / "start" / "model")


def test_the_model_is_a_folder_that_the_library_loads(folder: Path, tmp_path: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    step = train(folder, str(tmp_path / "s"))
    model, tokenizer = (kind.from_pretrained(step / "model") for kind in (AutoModelForCausalLM, AutoTokenizer))
    assert model.config.vocab_size == len(tokenizer)
    assert Model.open(step).kind == "model"


def test_nothing_but_the_model_and_its_evidence_is_left(folder: Path, tmp_path: Path):
    step = train(
        folder, str(tmp_path / "s"), held_out=folder / "others" / "tokens", context=quiet(checkpoint_seconds=0)
    )
    assert sorted(path.name for path in step.iterdir()) == ["log.jsonl", "manifest.json", "model", "result.json"]


def test_each_step_logs_every_component_and_their_sum(folder: Path, tmp_path: Path):
    step = train(folder, str(tmp_path / "s"), steps=3, teacher=folder / "teacher", losses=[KL, CE])
    lines = log_of(step)
    assert [line["step"] for line in lines] == [1, 2, 3]
    for line in lines:
        weighted = {name: found["weight"] * found["raw"] for name, found in line["components"].items()}
        assert list(weighted) == ["forward_kl", "cross_entropy"]
        assert {name: found["weighted"] for name, found in line["components"].items()} == pytest.approx(weighted)
        assert sum(weighted.values()) == pytest.approx(line["total"], rel=1e-6)
        assert {"epoch", "tokens", "learning_rate", "gradient_norm", "seconds"} <= line.keys()


def test_the_logged_total_is_the_loss_of_the_weights_before_the_step(folder: Path, tmp_path: Path):
    step = train(folder, str(tmp_path / "s"), steps=1, epochs=None, batch=len(Windows.open(folder / "rows" / "tokens")))
    windows = Windows.open(folder / "rows" / "tokens")
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=torch.device("cpu"))
    nats_BT = token_nats(
        load_model(folder / "start" / "model", device="cpu"), batch.ids_BT, documents_BT=batch.documents_BT
    )
    mean = (nats_BT * batch.weights_BT).sum() / batch.weights_BT.sum()
    assert log_of(step)[0]["total"] == pytest.approx(float(mean), rel=1e-5)


def test_the_number_on_the_bar_is_the_total(folder: Path, tmp_path: Path):
    class Remembering(Console):
        """Keeps what stands beside the bar."""

        def __init__(self) -> None:
            super().__init__(quiet=True)
            self.shown: list[str] = []

        @contextmanager
        def progress(self, what: str, total: float | None = None, *, done: float = 0) -> Iterator[Bar]:
            with super().progress(what, total, done=done) as bar:
                bar.show = self.shown.append  # type: ignore[method-assign]
                yield bar

    console = Remembering()
    step = train(folder, str(tmp_path / "s"), steps=3, context=Context(console=console, device="cpu"))
    assert [text.split(" · ")[0] for text in console.shown] == [f"loss {line['total']:.4f}" for line in log_of(step)]


def test_the_learning_rate_steps_once_per_optimizer_step(folder: Path, tmp_path: Path):
    more = {"steps": 4, "batch": 4, "micro_batch": 1, "warmup_steps": 2, "learning_rate": 1e-3, "schedule": "constant"}
    rates = [line["learning_rate"] for line in log_of(train(folder, str(tmp_path / "s"), **more))]
    assert rates == pytest.approx([5e-4, 1e-3, 1e-3, 1e-3])


def test_an_epoch_trains_on_every_window(folder: Path, tmp_path: Path):
    windows = Windows.open(folder / "rows" / "tokens")
    step = train(folder, str(tmp_path / "s"), epochs=1, batch=len(windows) - 1)
    assert metrics_of(step)["steps"] == 2
    assert log_of(step)[1]["epoch"] > 1 > log_of(step)[0]["epoch"]


def test_the_best_weights_by_held_out_loss_are_kept(folder: Path, tmp_path: Path):
    values = {"steps": 12, "held_out": folder / "others" / "tokens", "evaluate_every": 3, "learning_rate": 3e-2}
    step = train(folder, str(tmp_path / "s"), **values)
    evaluations = [line for line in log_of(step) if "held_out" in line]
    assert [line["step"] for line in evaluations] == [3, 6, 9, 12]
    best = min(evaluations, key=lambda line: line["held_out"]["nats_per_token"])
    metrics = metrics_of(step)
    assert metrics["best_step"] == best["step"] < 12
    assert metrics["held_out_loss"] == best["held_out"]["nats_per_token"]
    windows = Windows.open(folder / "others" / "tokens")
    batch = TokenBatch.of(windows.batch(range(len(windows))), device=torch.device("cpu"))
    nats_BT = token_nats(load_model(step / "model", device="cpu"), batch.ids_BT, documents_BT=batch.documents_BT)
    assert float((nats_BT * batch.weights_BT).sum() / batch.weights_BT.sum()) == pytest.approx(metrics["held_out_loss"])


def trained_for(seconds: float, folder: Path, out: Path) -> Path:
    """A copy of the start weights that says it took so long to train; returns the part's folder."""
    part = out / "model"
    shutil.copytree(folder / "start" / "model", part)
    return artifact(part, kind="model", metrics={"train_seconds": seconds})


def test_equal_seconds_trains_the_steps_that_fit_into_the_other_models_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reference = trained_for(20.2, folder, tmp_path / "reference")
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: 0.25 * next(ticks))  # read at both ends of a step and of its pause
    monkeypatch.setattr("demiurgic.train.loop.time", clock)
    step = train(folder, str(tmp_path / "s"), match_seconds=reference, warmup_steps=30)
    metrics = metrics_of(step)
    assert [line["seconds"] for line in log_of(step)] == [0.5] * 40
    assert (metrics["steps"], metrics["train_seconds"]) == (40, 20)
    assert metrics["seconds_ratio"] == pytest.approx(20 / 20.2)
    assert Manifest.read(step).summary.facts["seconds_to_match"] == 20.2


def test_the_seconds_that_are_matched_enter_the_key(folder: Path, tmp_path: Path):
    given = {"model": folder / "start" / "model", "data": folder / "rows" / "tokens", "warmup_steps": 30}
    keys = []
    for seconds in (20.0, 21.0, 20.0):
        part = trained_for(seconds, folder, tmp_path / str(len(keys)))
        config = TrainConfig.model_validate({**given, "match_seconds": part})
        assert config.key_facts(tmp_path) == {"seconds_to_match": seconds}
        keys.append(step_key(STAGE, config, seed=3, base=tmp_path))
    assert keys[0] == keys[2] != keys[1]


def test_without_seconds_to_match_nothing_enters_the_key(folder: Path, tmp_path: Path):
    given = {"model": folder / "start" / "model", "data": folder / "rows" / "tokens", "steps": 1}
    assert TrainConfig.model_validate(given).key_facts(tmp_path) == {}


def test_the_held_out_loss_is_a_number_and_no_estimate(folder: Path, tmp_path: Path):
    step = train(folder, str(tmp_path / "s"), held_out=folder / "others" / "tokens")
    loss = Manifest.read(step).summary.metrics["held_out_loss"]
    assert loss == Metric.exact(loss.value)


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(folder: Path, tmp_path: Path):
    model = load_model(folder / "start" / "model", device="cpu")
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    save_model(model, folder / "start" / "model", tmp_path / "broken" / "model")
    broken = artifact(tmp_path / "broken" / "model", kind="model")
    with pytest.raises(UserError, match=r"At step 1 the loss cross_entropy is nan, on the windows \d+, \d+\."):
        train(folder, str(tmp_path / "s"), model=broken)
    (partial,) = tmp_path.glob("s-*.partial")
    assert (partial / "log.jsonl").read_text() == ""


def test_bf16_trains_too(folder: Path, tmp_path: Path):
    lines = log_of(train(folder, str(tmp_path / "s"), steps=20, precision="bf16", learning_rate=1e-2))
    assert lines[-1]["total"] < lines[0]["total"] - 1


def test_one_process_trains_in_both_precisions_in_turn(folder: Path, tmp_path: Path):
    for number, precision in enumerate(["fp32", "bf16", "fp32"]):
        train(folder, str(tmp_path / f"s{number}"), precision=precision)
    assert same_weights(tmp_path / "s0" / "model", tmp_path / "s2" / "model")
    assert not same_weights(tmp_path / "s0" / "model", tmp_path / "s1" / "model")


class TestWhatCanBeSeenWithoutFiles:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"steps": None}, "give exactly one of steps, epochs and match_seconds; found none"),
            ({"epochs": 1.0}, "found steps and epochs"),
            ({"losses": ["forward_kl"]}, "the loss forward_kl needs a teacher"),
            ({"teacher": "teacher"}, "there is a teacher and no loss that asks it"),
            ({"losses": []}, "at least 1 item"),
            ({"losses": [{"use": "cross_entropy", "weight": 0}]}, "every loss has weight 0"),
            ({"losses": [{"use": "cross_entropy", "weight": -1}]}, "greater than or equal to 0"),
            ({"losses": ["crossentropy"]}, 'Did you mean "cross_entropy"'),
            ({"losses": [{"use": "cross_entropy", "beta": 0.5}]}, 'cross_entropy has no option "beta"'),
            ({"losses": [{"use": "forward_kl", "temperature": 1e-4}]}, "greater than or equal to 0.001"),
            ({"on_policy": {"temperature": 1e-4}}, "greater than or equal to 0.001"),
            ({"micro_batch": 5}, "micro_batch .5. is larger than batch .2."),
            ({"schedule": "linear"}, "'cosine', 'wsd' or 'constant'"),
            ({"warmup_steps": 2}, "warmup_steps .2. is not less than the 2 steps"),
            ({"steps": None, "match_seconds": "teacher", "warmup_steps": 29}, "warmup_steps .29. is less than 30"),
            ({"held_out_windows": 2}, "held_out_windows counts windows of held_out, which is not given"),
            ({"held_out": "data"}, "held_out and data are the same"),
            *(
                ({name: value}, "finite number")
                for name in ("learning_rate", "weight_decay", "gradient_clip", "min_learning_rate_share")
                for value in (float("inf"), float("nan"))
            ),
            ({"steps": None, "epochs": float("inf")}, "finite number"),
            ({"betas": (0.9, float("nan"))}, "finite number"),
        ],
    )
    def test_a_mistake_is_named(self, folder: Path, values: dict[str, Any], message: str):
        given: dict[str, Any] = {"model": folder / "start" / "model", "data": folder / "rows" / "tokens"}
        given |= {"steps": 2, "batch": 2, **values}
        named = {"teacher": folder / "teacher" / "model", "data": folder / "rows" / "tokens"}
        given |= {name: named[value] for name, value in given.items() if isinstance(value, str) and value in named}
        with pytest.raises(ValidationError, match=message):
            TrainConfig.model_validate(given)

    def test_the_default_loss_is_cross_entropy(self, folder: Path):
        given = {"model": folder / "start" / "model", "data": folder / "rows" / "tokens", "steps": 1}
        assert TrainConfig.model_validate(given).losses == [LOSSES.choose("cross_entropy")]

    def test_a_recipe_that_holds_out_its_training_tokens_is_refused_when_it_is_read(self):
        given = {"model": "small", "data": "few", "held_out": "few", "steps": 2}
        with pytest.raises(ValidationError, match="held_out and data are the same"):
            TrainConfig.model_validate(given, context={"resolve": lambda text, kind: Reference(text, "part")})


class TestWhatDoesNotBelongTogether:
    def test_tokens_of_another_tokenizer(self, folder: Path, tmp_path: Path):
        other = tiny_start(tmp_path / "other")
        (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + "\n")
        tokens = tiny_tokens(tmp_path / "tokens", other)
        with pytest.raises(UserError, match="were made with another tokenizer"):
            train(folder, str(tmp_path / "s"), data=tokens)

    def test_held_out_tokens_of_another_tokenizer(self, folder: Path, tmp_path: Path):
        other = tiny_start(tmp_path / "other")
        (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + "\n")
        tokens = tiny_tokens(tmp_path / "tokens", other)
        with pytest.raises(UserError, match="were made with another tokenizer"):
            train(folder, str(tmp_path / "s"), held_out=tokens)

    def test_held_out_tokens_that_are_the_training_tokens_from_another_step(self, folder: Path, tmp_path: Path):
        same = tiny_tokens(tmp_path / "same", folder / "start" / "model")
        with pytest.raises(UserError, match="holds the same tokens as data"):
            train(folder, str(tmp_path / "s"), held_out=same)

    def test_tokens_of_another_dialect(self, folder: Path, tmp_path: Path):
        tokens = tiny_tokens(tmp_path / "tokens", folder / "start" / "model")
        facts = json.loads((tokens / "tokens.json").read_text())
        (tokens / "tokens.json").write_text(json.dumps({**facts, "dialect": "latin"}))
        with pytest.raises(UserError, match="in the dialect latin; the model .* speaks chatml"):
            train(folder, str(tmp_path / "s"), data=artifact(tokens, kind="tokens"))

    def test_held_out_windows_longer_than_the_context(self, folder: Path, tmp_path: Path):
        start = folder / "start" / "model"
        long = tiny_tokens(tmp_path / "long", start, length=300)
        with pytest.raises(UserError, match="have 300 tokens; the model .* attends to 256"):
            train(folder, str(tmp_path / "s"), held_out=long)

    def test_windows_longer_than_the_teachers_context(self, folder: Path, tmp_path: Path):
        teacher = tiny_start(tmp_path / "short", context=8)
        with pytest.raises(UserError, match=f"have {LENGTH} tokens; the model .*short.* attends to 8"):
            train(folder, str(tmp_path / "s"), teacher=teacher, losses=[KL])

    def test_a_warm_up_longer_than_the_epochs(self, folder: Path, tmp_path: Path):
        with pytest.raises(UserError, match="warmup_steps .50. is not less than the 2 steps"):
            num_windows = len(Windows.open(folder / "rows" / "tokens"))
            train(folder, str(tmp_path / "s"), epochs=1, batch=num_windows - 1, warmup_steps=50)

    def test_windows_longer_than_the_context(self, folder: Path, tmp_path: Path):
        with pytest.raises(UserError, match=f"have {LENGTH} tokens; the model .* attends to 8"):
            train(folder, str(tmp_path / "s"), model=tiny_start(tmp_path / "short", context=8))

    def test_a_model_that_was_not_trained_has_no_seconds_to_match(self, folder: Path, tmp_path: Path):
        with pytest.raises(UserError, match="match_seconds wants what a train step made"):
            train(folder, str(tmp_path / "s"), match_seconds=folder / "start" / "model", warmup_steps=30)
