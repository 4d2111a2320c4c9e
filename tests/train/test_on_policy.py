"""Training on text that the student writes itself: the whole stage, and what must not change it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from demiurgic.core.artifacts import Manifest
from demiurgic.core.errors import UserError
from demiurgic.core.seeds import Seeds
from demiurgic.models.load import load_model
from demiurgic.models.windows import Windows
from demiurgic.train.accelerator import accelerator_on
from demiurgic.train.batch import TokenBatch
from demiurgic.train.curriculum import Curriculum
from demiurgic.train.objective import objective
from demiurgic.train.on_policy import OnPolicy
from demiurgic.train.order import Order
from demiurgic.train.signals.live import LiveTeacher
from demiurgic.train.source import FromData
from demiurgic.train.student_text import WithStudent, Writer
from stopped import interrupted
from tiny_models import LINES, conversation
from tiny_training import components, log_of, same_weights, tiny_start, tiny_tokens, train

STEPS = 8
LOSSES = [{"use": "reverse_kl"}, {"use": "cross_entropy", "weight": 0.5}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student, a teacher, windows of conversations and of plain texts."""
    folder = tmp_path_factory.mktemp("on-policy")
    small = {"layers": 1, "hidden": 32, "intermediate": 48}
    start = tiny_start(folder / "start", **small)
    tiny_start(folder / "teacher", seed=1, **small)
    talks = [conversation(f"What is {LINES[n % 6][:n]}?", LINES[n % 5], id=f"talk:{n}") for n in range(12)]
    tiny_tokens(folder / "rows", start, rows=talks, length=96)
    tiny_tokens(folder / "texts", start)
    return folder


def learn(folder: Path, out: Path, context: Any = None, **more: Any) -> Path:
    on_policy = {"share": 0.5, "max_new_tokens": 6, **more.pop("on_policy", {})}
    values = {"steps": STEPS, "batch": 2, "learning_rate": 1e-2, "losses": LOSSES, **more}
    return train(folder, str(out), context=context, teacher=folder / "teacher" / "model", on_policy=on_policy, **values)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    return learn(folder, folder / "whole")


def untimed(step: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in log_of(step)]


def sources(step: Path) -> list[str]:
    return [line["source"] for line in log_of(step)]


def test_the_log_says_who_wrote_the_text_of_each_step_and_what_came_of_it(whole: Path):
    lines = log_of(whole)
    assert {line["source"] for line in lines} == {"data", "student"}
    for line in lines:
        assert ("sampled" in line) == (line["source"] == "student")
        assert (line["components"]["cross_entropy"]["raw"] is None) == (line["source"] == "student")
        assert line["components"]["reverse_kl"]["raw"] > 0
    sampled = next(line["sampled"] for line in lines if line["source"] == "student")
    assert sampled["tokens"] == pytest.approx(sampled["texts"] * sampled["mean_length"])
    assert 0 <= sampled["finished_share"] <= 1 <= sampled["mean_length"] <= 6


def test_the_summary_counts_the_same_number_of_steps(whole: Path):
    assert Manifest.read(whole).summary.metrics["steps"].value == STEPS


@pytest.mark.parametrize("after", [1, 4, 6])
def test_stopped_and_gone_on_with_is_never_stopped(folder: Path, whole: Path, tmp_path: Path, after: int):
    with pytest.raises(KeyboardInterrupt):
        learn(folder, tmp_path / "s", interrupted(after))
    again = learn(folder, tmp_path / "s")
    assert same_weights(again / "model", whole / "model")
    assert untimed(again) == untimed(whole)


@pytest.mark.parametrize("more", [{"micro_batch": 1}, {"on_policy": {"rows": 1}}])
def test_how_much_is_done_at_once_changes_neither_the_text_nor_the_losses(
    folder: Path, whole: Path, tmp_path: Path, more: dict[str, Any]
):
    for found, wanted in zip(log_of(learn(folder, tmp_path / "s", **more)), log_of(whole), strict=True):
        assert found.get("sampled") == wanted.get("sampled")
        assert found["total"] == pytest.approx(wanted["total"], rel=1e-4)


def test_a_share_of_0_is_a_training_without_it(folder: Path, tmp_path: Path):
    never = learn(folder, tmp_path / "never", on_policy={"share": 0.0})
    without = train(
        folder,
        str(tmp_path / "without"),
        steps=STEPS,
        learning_rate=1e-2,
        losses=LOSSES,
        teacher=folder / "teacher" / "model",
    )
    assert same_weights(never / "model", without / "model")
    assert sources(never) == ["data"] * STEPS


def test_windows_without_prompts_are_refused_before_the_first_step(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="no row has any"):
        learn(folder, tmp_path / "s", data=folder / "texts" / "tokens")
    assert not list(tmp_path.rglob("log.jsonl"))


def test_while_training_the_student_is_in_train_mode_and_the_teacher_in_eval_mode(folder: Path):
    text, module, teacher = on_its_own_text(folder)
    module.train()
    text.text(0)
    assert all(child.training for child in module.model.modules())
    assert not any(child.training for child in teacher.model.modules())


def on_its_own_text(folder: Path, *losses: Any) -> tuple[WithStudent, Any, LiveTeacher]:
    """A student that only reads what it writes itself, with its objective and its teacher."""
    model = load_model(folder / "start" / "model", device="cpu")
    windows = Windows.open(folder / "rows" / "tokens")
    size = windows.vocab_size
    teacher = LiveTeacher(load_model(folder / "teacher" / "model", device="cpu"), bf16=False, vocab_size=size)
    accelerator = accelerator_on(torch.device("cpu"), "fp32")
    stops: Sequence[int] = [2]
    writer = Writer(model, stops, vocab_size=size, context=256, precision="fp32", accelerator=accelerator)
    data = FromData(windows, Order(len(windows), batch=4, seeds=Seeds(0)))
    on_policy = OnPolicy(share=1.0, max_new_tokens=8)
    module = objective(model, teacher=teacher, vocab_size=size)
    return WithStudent(data, on_policy, Curriculum([]), writer, Seeds(0)), module, teacher


def test_reverse_kl_on_its_own_text_brings_the_student_closer_to_its_teacher(folder: Path):
    """Over fresh text each time, so that what falls is the divergence on what the student writes by now."""
    text, module, _ = on_its_own_text(folder)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    found = []
    for step in range(24):
        batch = TokenBatch.of(text.text(step).batch, device=torch.device("cpu"))
        losses = module(batch, float(batch.weights_BT.sum()), components("reverse_kl"))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        found.append(losses.total.item())
    assert sum(found[-4:]) < 0.5 * sum(found[:4])
