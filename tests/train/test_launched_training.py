"""The whole stage in two processes, killed and gone on with, is the stage in one."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demiurgic.core.artifacts import Manifest
from demiurgic.core.errors import UserError
from demiurgic.core.optional import installed
from demiurgic.models.load import load_model
from demiurgic.run.context import Context, Launcher
from tiny_training import artifact, distil, log_of, other_tokens, quiet, tiny_start, tiny_tokens, train

STEPS = 9
KILLED = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {here!r}]
from test_launched_training import distil_here, two
distil_here(Path({folder!r}), Path({out!r}), two({strategy!r}, checkpoint_seconds=0))
"""


def two(strategy: str, **more: Any) -> Context:
    return replace(quiet(**more), launcher=Launcher("accelerate", 2, strategy))


def distil_here(folder: Path, out: Path, context: Context) -> Path:
    """Two losses, a learned map between hidden widths, accumulation, a live teacher, early stopping, dropout."""
    losses = [
        {"use": "forward_kl", "weight": {"from": 0.9, "to": 0.5}},
        {"use": "cross_entropy", "weight": {"balance": 0.2}},
        {"use": "hidden_mse", "weight": 0.1},
    ]
    return distil(folder, out, context, steps=STEPS, losses=losses, evaluate_every=3, patience=3, learning_rate=5e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("launched")
    start = tiny_start(folder / "start", layers=1)
    tiny_tokens(folder / "rows", start)
    other_tokens(folder / "others", start)
    tiny_start(folder / "teacher", seed=1, layers=1)
    distil_here(folder, folder / "alone", quiet())
    return folder


def numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """All numbers of a line of the log but the seconds."""
    found: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, dict):
            found |= {f"{name}/{inner}": number for inner, number in numbers(value).items()}
        elif isinstance(value, int | float) and name != "seconds":
            found[name] = value
    return found


needs_deepspeed = pytest.mark.skipif(
    not installed("deepspeed"), reason='DeepSpeed is not installed: pip install "demiurgic[deepspeed]"'
)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("ddp", "fsdp2"),
        ("fsdp2", "ddp"),
        pytest.param("ddp", "deepspeed", marks=needs_deepspeed),
        pytest.param("deepspeed", "fsdp2", marks=needs_deepspeed),
    ],
)
def test_killed_in_one_way_and_gone_on_with_in_the_other_it_agrees_with_one_process(
    folder: Path, tmp_path: Path, first: str, then: str
):
    out = tmp_path / "s"
    here = Path(__file__).parent
    paths = {"tests": str(here.parent), "here": str(here), "folder": str(folder), "out": str(out)}
    script = KILLED.format(**paths, strategy=first)
    child = subprocess.Popen([sys.executable, "-c", script])
    while child.poll() is None and len(lines_of(tmp_path)) < 5:
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert_nothing_runs(tmp_path)
    step = distil_here(folder, out, two(then))
    found, wanted = log_of(step), log_of(folder / "alone")
    assert [line["step"] for line in found] == [line["step"] for line in wanted]
    for line, other in zip(found, wanted, strict=True):
        assert numbers(line) == pytest.approx(numbers(other), rel=2e-4)
    manifests = Manifest.read(step), Manifest.read(folder / "alone")
    assert manifests[0].key == manifests[1].key
    assert manifests[0].took["processes"] == 2
    assert sorted(path.name for path in step.iterdir()) == ["log.jsonl", "manifest.json", "model", "result.json"]
    weights = [load_model(path / "model", device="cpu").state_dict() for path in (step, folder / "alone")]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[1].items():
        assert float((weights[0][name] - weight).abs().max()) < 2e-3, name


def lines_of(folder: Path) -> list[bytes]:
    return [line for log in folder.glob("s-*.partial/log.jsonl") for line in log.read_bytes().splitlines()]


def assert_nothing_runs(folder: Path) -> None:
    """Within some seconds, no process of the launch is left."""
    pids = [int(path.read_text()) for path in folder.glob("s-*.partial/launch/*.pid")]
    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"processes {pids} outlive the one that started them"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_mistake_that_a_process_finds_is_one_paragraph(folder: Path, tmp_path: Path):
    odd = tiny_start(tmp_path / "odd", layers=1)
    config = json.loads((odd / "config.json").read_text())
    (odd / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 8}))
    artifact(odd, kind="model")
    with pytest.raises(UserError, match=r"have 16 tokens; the model .* attends to 8"):
        train(folder, str(tmp_path / "s"), model=odd, context=two("ddp"))
