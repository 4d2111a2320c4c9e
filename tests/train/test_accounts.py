"""The accounts of a real training: what the log says of each step is what was differentiated, and when."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.core.registry import Registry
from demiurgic.models.load import load_model
from demiurgic.models.windows import Batch
from demiurgic.run.context import Context
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.chunk import Chunk
from demiurgic.train.component_norms import component_norms
from demiurgic.train.curriculum import Curriculum
from demiurgic.train.losses import LOSSES, LossOptions
from demiurgic.train.objective import objective
from demiurgic.train.optimizer import accumulate, gradient_norm
from demiurgic.train.phases import Phase
from demiurgic.train.signals.live import LiveTeacher
from demiurgic.train.token_loss import TokenLoss
from stopped import interrupted
from tiny_models import tiny_model
from tiny_training import artifact, log_of, other_tokens, quiet, same_weights, tiny_start, tiny_tokens, train

STEPS = 20
PHASES = [{"name": "warm", "share": 0.25}, {"name": "mix", "share": 0.75}]
LOSSES_BY_PHASE: list[dict[str, Any]] = [
    {"use": "forward_kl", "weight": {"phases": {"warm": 0, "mix": {"from": 0.2, "to": 0.8}}}},
    {"use": "reverse_kl", "weight": {"balance": 0.3}, "temperature": {"from": 2, "to": 1, "shape": "cosine"}},
    {"use": "cross_entropy", "weight": 0.5},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Start weights with dropout, a teacher, windows, and a training in phases."""
    folder = tmp_path_factory.mktemp("accounts")
    start = tiny_start(folder / "start")
    config = json.loads((start / "config.json").read_text())
    (start / "config.json").write_text(json.dumps({**config, "attention_dropout": 0.2}))
    artifact(start, kind="model")
    tiny_tokens(folder / "rows", start)
    other_tokens(folder / "others", start)
    tiny_start(folder / "teacher", seed=1)
    in_phases(folder, folder / "whole")
    return folder


def in_phases(folder: Path, out: Path, context: Context | None = None, **more: Any) -> Path:
    values: dict[str, Any] = {
        "steps": STEPS,
        "batch": 3,
        "micro_batch": 2,
        "learning_rate": 2e-2,
        "warmup_steps": 4,
        "teacher": folder / "teacher",
        "held_out": folder / "others" / "tokens",
        "phases": PHASES,
        "losses": LOSSES_BY_PHASE,
        "gradient_norms_every": 5,
    }
    return train(folder, str(out), context=context, **{**values, **more})


def steps_of(folder: Path) -> list[dict[str, Any]]:
    return [line for line in log_of(folder / "whole") if "total" in line]


def test_the_weighted_components_of_every_step_sum_to_its_total(folder: Path):
    for line in steps_of(folder):
        components = line["components"].values()
        assert sum(component["weighted"] for component in components) == line["total"]
        assert all(c["weighted"] == c["weight"] * (c["raw"] or 0) for c in components)


def test_weights_and_temperatures_follow_their_schedules_in_optimizer_steps(folder: Path):
    lines = steps_of(folder)
    kl = [line["components"]["forward_kl"] for line in lines]
    assert [component["weight"] for component in kl[:5]] == [0] * 5
    assert [component["raw"] for component in kl[:5]] == [None] * 5
    assert (kl[5]["weight"], kl[-1]["weight"]) == (0.2, 0.8)
    temperatures = [line["components"]["reverse_kl"]["options"]["temperature"] for line in lines]
    assert (temperatures[0], temperatures[-1]) == (2.0, 1.0)
    assert temperatures == sorted(temperatures, reverse=True)


def test_every_step_names_its_phase_and_how_far_it_has_come(folder: Path):
    phases = [line["phase"] for line in steps_of(folder)]
    assert [phase["name"] for phase in phases] == ["warm"] * 5 + ["mix"] * 15
    assert (phases[0]["progress"], phases[4]["progress"], phases[5]["progress"], phases[-1]["progress"]) == (0, 1, 0, 1)
    assert steps_of(folder)[0]["num_steps"] == STEPS


def test_a_balanced_component_comes_close_to_its_share(folder: Path):
    last = steps_of(folder)[-5:]
    shares = [line["components"]["reverse_kl"]["weighted"] / line["total"] for line in last]
    assert sum(shares) / len(shares) == pytest.approx(0.3, abs=0.12)


def test_gradient_norms_are_logged_where_they_were_asked_for_and_change_nothing(folder: Path, tmp_path: Path):
    found = [line["step"] for line in steps_of(folder) if "gradient_norm" in line["components"]["cross_entropy"]]
    assert found == [5, 10, 15, 20]
    line = steps_of(folder)[9]
    norms = [component["gradient_norm"] for component in line["components"].values()]
    assert max(norms) - (sum(norms) - max(norms)) <= line["gradient_norm"] * (1 + 1e-5)
    assert line["gradient_norm"] <= sum(norms) * (1 + 1e-5)
    without = in_phases(folder, tmp_path / "without", gradient_norms_every=None)
    assert same_weights(without / "model", folder / "whole" / "model")


def test_passes_for_the_log_are_no_training_seconds(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock, later = time.perf_counter, 0.0

    def slow(*arguments: Any, **more: Any) -> dict[str, float]:
        nonlocal later
        later += 1000
        return component_norms(*arguments, **more)

    monkeypatch.setattr(time, "perf_counter", lambda: clock() + later)
    monkeypatch.setattr("demiurgic.train.loop.component_norms", slow)
    step = train(folder, str(tmp_path / "s"), gradient_norms_every=1)
    assert later == 2000
    assert max(line["seconds"] for line in log_of(step)) < 1000


def test_a_training_in_phases_that_was_stopped_twice_is_one_that_was_not(folder: Path, tmp_path: Path):
    for after in (3, 7):
        with pytest.raises(KeyboardInterrupt):
            in_phases(folder, tmp_path / "s", interrupted(after))
    found = in_phases(folder, tmp_path / "s")
    assert same_weights(found / "model", folder / "whole" / "model")
    lines = [
        [{k: v for k, v in line.items() if k != "seconds"} for line in log_of(x)] for x in (found, folder / "whole")
    ]
    assert lines[0] == lines[1]


def test_the_console_says_the_totals_of_the_log(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = in_phases(folder, tmp_path / "loud", Context(console=Console(), device="cpu"))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("  step ")]
    lines = [line for line in log_of(out) if "total" in line]
    assert len(said) == STEPS
    for text, line in zip(said, lines, strict=True):
        assert f"step {line['step']} of {STEPS}" in text
        assert f"loss {line['total']:.4f} " in text
        assert f"rate {line['learning_rate']:.2e}" in text
    assert "warm 0 %" in said[0]
    assert "forward_kl 0.8" in said[-1]
    assert "(temperature 1)" in said[-1]


def test_the_tracker_gets_what_the_log_gets(folder: Path, tmp_path: Path):
    from tensorboardX.proto.event_pb2 import Event

    out = train(folder, str(tmp_path / "tracked"), context=quiet(trackers=("tensorboard",)))
    (path,) = (out / "tensorboard").iterdir()
    data, found = path.read_bytes(), {}
    while data:
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        data = data[16 + length :]
    for line in log_of(out):
        assert found["loss/total", line["step"]] == pytest.approx(line["total"])
        assert found["train/learning_rate", line["step"]] == pytest.approx(line["learning_rate"])


def test_phases_that_do_not_fit_the_steps_of_the_epochs_stop_before_the_first(folder: Path, tmp_path: Path):
    short = [{"name": "warm", "share": 0.001}, {"name": "rest", "share": 0.999}]
    with pytest.raises(UserError, match=r"[Pp]hase warm is 0.001 of \d+ steps"):
        train(folder, str(tmp_path / "short"), epochs=1, phases=short, losses=["cross_entropy"])


# one step, taken apart


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {"student": tiny_model(folder / "student", layers=1), "teacher": tiny_model(folder / "teacher", seed=1)}


def windows(count: int = 4, length: int = 12) -> Batch:
    random = np.random.default_rng(0)
    ids_BT = random.integers(0, 290, (count, length)).astype(np.int64)
    weights_BT = (random.random((count, length)) < 0.6).astype(np.float32)
    weights_BT[:, 0] = 0
    return Batch(ids_BT, weights_BT, np.ones((count, length), dtype=np.int64))


class OneStep:
    """A student, a teacher and windows: gradients of any components, in fp32 on the CPU."""

    def __init__(self, models: dict[str, Path]) -> None:
        self.model = load_model(models["student"], device="cpu")
        self.accelerator = accelerator_on(torch.device("cpu"), "fp32")
        teacher = LiveTeacher(load_model(models["teacher"], device="cpu"), bf16=False)
        self.module = self.accelerator.prepare(objective(self.model, teacher=teacher))

    def gradient(self, components: Any) -> dict[str, Tensor]:
        self.model.zero_grad()
        self.add(components)
        return {n: p.grad.double() for n, p in self.model.named_parameters() if p.grad is not None}

    def add(self, components: Any) -> Any:
        return accumulate(self.module, windows(), components=components, accelerator=self.accelerator, micro_batch=3)


LOSSES_OF_A_STEP: list[dict[str, Any]] = [
    {"use": "forward_kl", "weight": {"from": 1.0, "to": 0.0, "end": 0.5}, "temperature": {"from": 4, "to": 1}},
    {"use": "reverse_kl", "weight": {"from": 0.0, "to": 2.0, "shape": "cosine"}},
    {"use": "cross_entropy", "weight": {"phases": {"warm": 0.3, "mix": {"from": 0.3, "to": 0.9}}}},
]


def curriculum() -> Curriculum:
    phases = [Phase.model_validate(phase) for phase in PHASES]
    return Curriculum([LOSSES.choose(loss) for loss in LOSSES_OF_A_STEP], phases)


@pytest.mark.parametrize("step", [0, 3, 7, 9])
def test_the_gradient_of_the_total_is_the_weighted_sum_of_those_of_the_components(models: dict[str, Path], step: int):
    one_step, now = OneStep(models), curriculum().components(step, num_steps=10, source="data")
    total = one_step.gradient(now)
    alone = []
    for k in range(len(now)):
        # with weight 1: what the schedule says is multiplied here
        only = [replace(c, weight=1.0 if j == k else 0.0) for j, c in enumerate(now)]
        alone.append(one_step.gradient(only))
    for name, found in total.items():
        wanted = sum(c.weight * gradient[name] for c, gradient in zip(now, alone, strict=True))
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)


def test_the_norms_of_the_components_are_those_of_their_weighted_gradients(models: dict[str, Path]):
    one_step, now = OneStep(models), curriculum().components(4, num_steps=10, source="data")
    norms = component_norms(one_step.module, now, one_pass=one_step.add)
    assert all(parameter.grad is None for parameter in one_step.model.parameters())
    for k, component in enumerate(now):
        one_step.gradient([replace(c, weight=c.weight if j == k else 0.0) for j, c in enumerate(now)])
        assert norms[component.name] == gradient_norm(one_step.model)


CALLED: list[str] = []


def _spy(chunk: Chunk) -> TokenLoss:
    """Notes that it was called."""
    CALLED.append("spy")
    raise AssertionError("a loss of weight 0 was called")


def test_a_component_whose_schedule_is_at_0_is_not_called_and_the_teacher_is_not_asked(models: dict[str, Path]):
    spies = Registry("spies", package="demiurgic.train.losses", shared=LossOptions)
    spies.register("spy", reads="distribution")(_spy)
    asleep = spies.choose({"use": "spy", "weight": {"phases": {"warm": 0, "mix": 1}}})
    phases = [Phase.model_validate(phase) for phase in PHASES]
    losses = Curriculum([asleep, LOSSES.choose("cross_entropy")], phases)
    model = load_model(models["student"], device="cpu")
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    module = accelerator.prepare(objective(model, teacher=None))

    def go(step: int) -> float:
        now = losses.components(step, num_steps=8, source="data")
        found = accumulate(module, windows(), components=now, accelerator=accelerator, micro_batch=4)
        return float(found.total)

    assert math.isfinite(go(1))
    assert CALLED == []
    with pytest.raises(AssertionError, match="was called"):
        go(2)
    assert CALLED == ["spy"]
