"""A capture that is stopped and goes on leaves the bytes of one that was never stopped."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caches import capture, start_and_teacher
from demiurgic.core.errors import UserError
from demiurgic.core.records import Row
from demiurgic.run.context import Context
from stopped import PowerCutError, StepHook, cut, interrupted
from tiny_models import LINES
from tiny_training import tiny_tokens

KEEPS = {
    "hidden": {"use": "hidden", "dtype": "fp32"},
    "top_k": {"use": "top_k", "k": 5},
    "samples": {"use": "samples", "draws": 20, "temperatures": [1.0, 2.0]},
}
TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows enough for many batches, and each cache as it is when nothing stops it."""
    folder = start_and_teacher(tmp_path_factory.mktemp("interrupted"))
    rows = [Row(id=f"{n}/{turn}", text=f"# {turn}\n{line}") for turn in range(12) for n, line in enumerate(LINES)]
    tiny_tokens(folder / "rows", folder / "start" / "model", rows=rows)
    for form, keep in KEEPS.items():
        capture(folder, f"whole-{form}", keep)
    return folder


def contents(part: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in part.iterdir()}


def assert_same(part: Path, folder: Path) -> None:
    whole = contents(folder / f"whole-{part.name}" / part.name)
    found = contents(part)
    assert found.keys() == whole.keys()
    assert [name for name in whole if found[name] != whole[name]] == []


def committed(out: Path) -> int:
    (partial,) = out.parent.glob(f"{out.name}-*.partial")
    return int(json.loads((partial / "capture.json").read_text())["num_windows"])


@pytest.mark.parametrize("form", KEEPS)
def test_after_ctrl_c_the_batch_is_kept_and_the_bytes_are_the_same(folder: Path, tmp_path: Path, form: str):
    for after, windows in ((3, 8), (1, 12), (4, 22)):
        # pressed while the batch behind the last one shown is captured
        with pytest.raises(KeyboardInterrupt):
            capture(folder, tmp_path / form, KEEPS[form], context=interrupted(after))
        assert committed(tmp_path / form) == windows
    assert_same(capture(folder, tmp_path / form, KEEPS[form]), folder)


@pytest.mark.parametrize("form", KEEPS)
def test_after_power_cuts_the_bytes_are_the_same(folder: Path, tmp_path: Path, form: str):
    dice = random.Random(5)
    for _ in range(4):
        with pytest.raises(PowerCutError):
            capture(folder, tmp_path / form, KEEPS[form], context=cut(dice.randint(1, 6), checkpoint_seconds=0.0))
    assert_same(capture(folder, tmp_path / form, KEEPS[form]), folder)


def test_a_power_cut_costs_what_came_after_the_last_commit(folder: Path, tmp_path: Path):
    with pytest.raises(PowerCutError):
        capture(folder, tmp_path / "top_k", KEEPS["top_k"], context=cut(5, checkpoint_seconds=0.0))
    assert committed(tmp_path / "top_k") == 10
    with pytest.raises(PowerCutError):
        capture(folder, tmp_path / "top_k", KEEPS["top_k"], context=cut(5, checkpoint_seconds=1e9))
    assert committed(tmp_path / "top_k") == 10
    assert_same(capture(folder, tmp_path / "top_k", KEEPS["top_k"]), folder)


def test_what_lies_behind_the_last_commit_is_cut_off(folder: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        capture(folder, tmp_path / "samples", KEEPS["samples"], context=interrupted(3))
    (partial,) = tmp_path.glob("*.partial")
    for path in (partial / "samples").iterdir():
        with path.open("ab") as file:
            file.write(b"torn")
    assert_same(capture(folder, tmp_path / "samples", KEEPS["samples"]), folder)


def test_a_file_shorter_than_its_last_commit_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        capture(folder, tmp_path / "samples", KEEPS["samples"], context=interrupted(3))
    (partial,) = tmp_path.glob("*.partial")
    os.truncate(partial / "samples" / "words.bin", 100)
    with pytest.raises(UserError, match="words.bin has 100 bytes where .* were written. Delete .*partial"):
        capture(folder, tmp_path / "samples", KEEPS["samples"])


def test_a_full_disk_keeps_what_was_committed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced = os.fsync

    def full(number: int) -> None:
        if (tmp_path / "full").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(number)

    def fill(step: int) -> None:
        if step == 4:
            (tmp_path / "full").touch()

    monkeypatch.setattr(os, "fsync", full)
    context = Context(console=StepHook(fill), device="cpu", checkpoint_seconds=0.0)
    with pytest.raises(UserError, match="The disk that holds .* is full"):
        capture(folder, tmp_path / "top_k", KEEPS["top_k"], context=context)
    assert committed(tmp_path / "top_k") == 8
    (tmp_path / "full").unlink()
    assert_same(capture(folder, tmp_path / "top_k", KEEPS["top_k"]), folder)


FORKS = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch, transformers, transformers.models.llama.modeling_llama, safetensors.torch
from caches import capture
from demiurgic.run.context import Context
from stopped import StepHook
torch.set_num_threads(1)
folder, out, keep = Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
context = Context(console=StepHook(lambda step: None), device="cpu", checkpoint_seconds=0.0)
print("ready", flush=True)
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        capture(folder, out, keep, context=context)
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def test_kills_at_random_moments_leave_the_same_bytes(folder: Path, tmp_path: Path):
    dice, out, seen = random.Random(3), tmp_path / "samples", [0]
    command = [sys.executable, "-c", FORKS, str(TESTS), str(folder), str(out), json.dumps(KEEPS["samples"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(12):
            print("go", file=process.stdin, flush=True)
            child = int(process.stdout.readline())
            wait_for_a_commit(tmp_path, behind=seen[-1])
            time.sleep(dice.uniform(0.0, 0.02))
            os.kill(child, signal.SIGKILL)
            assert process.stdout.readline() == "ended\n"
            seen.append(num_committed(tmp_path))
        process.stdin.close()
    assert seen == sorted(seen), "nothing that was committed is lost"
    assert 0 < seen[-1] < 72, "the kills fell while there was work"
    assert_same(capture(folder, out, KEEPS["samples"]), folder)


def num_committed(folder: Path) -> int:
    commits = list(folder.glob("*.partial/capture.json"))
    return int(json.loads(commits[0].read_text())["num_windows"]) if commits else 0


def wait_for_a_commit(folder: Path, *, behind: int, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while num_committed(folder) <= behind:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)
