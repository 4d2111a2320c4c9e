"""Several processes for one step: they end as one."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from demiurgic.core.artifacts import Manifest
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.run.context import Context, Launcher
from demiurgic.run.launch import launcher_of
from demiurgic.run.step import run_stage
from launched_toys import STAGE
from tiny_models import conversation, tiny_dataset

TWO = Context(console=Console(quiet=True), device="cpu", launcher=Launcher("accelerate", 2))


def test_each_process_gets_the_config_the_seed_and_its_number(tmp_path: Path):
    data = tiny_dataset(tmp_path / "data", [conversation("a", "b")])
    step = run_stage(STAGE, {"data": data}, tmp_path / "s", seed=7, context=TWO)
    for rank in range(2):
        assert (step / f"seen-{rank}").read_text() == f"{data / 'rows'} 7"
    manifest = Manifest.read(step)
    assert manifest.summary.metrics["rank"].value == 0
    assert (manifest.took["processes"], manifest.took["strategy"]) == (2, "ddp")
    assert not (step / "launch").exists()


def test_the_key_does_not_depend_on_the_launcher(tmp_path: Path):
    alone = run_stage(STAGE, {}, tmp_path / "alone", context=Context(console=Console(quiet=True)))
    assert Manifest.read(run_stage(STAGE, {}, tmp_path / "two", context=TWO)).key == Manifest.read(alone).key


def test_a_mistake_that_one_process_finds_ends_all_with_the_same_paragraph(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    with pytest.raises(UserError) as found:
        run_stage(STAGE, {"second": "errs"}, tmp_path / "s", context=TWO)
    assert str(found.value) == "Found 3 where 4 was wanted. Write 4."
    assert capfd.readouterr().err == ""
    assert_gone(tmp_path)


def test_a_failure_of_one_process_is_shown_with_its_traceback_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(RuntimeError, match=r"process 1 of 2 failed:\nTraceback(.|\n)*ZeroDivisionError: of the second"):
        run_stage(STAGE, {"second": "fails"}, tmp_path / "s", context=TWO)
    assert capfd.readouterr().err == ""
    assert_gone(tmp_path)


def test_a_process_that_is_killed_ends_the_others(tmp_path: Path):
    with pytest.raises(RuntimeError, match="process . of 2 ended without a word"):
        run_stage(STAGE, {"second": "vanishes"}, tmp_path / "s", context=TWO)
    assert_gone(tmp_path)


def test_ctrl_c_reaches_them_and_leaves_none(tmp_path: Path):
    def press_when_both_run() -> None:
        while len(pids(tmp_path)) < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_when_both_run, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_stage(STAGE, {"second": "waits"}, tmp_path / "s", context=TWO)
    assert_gone(tmp_path)


def pids(folder: Path) -> list[int]:
    found = (path.read_text() for path in folder.glob("s-*.partial/launch/*.pid"))
    return [int(text) for text in found if text]


def assert_gone(folder: Path) -> None:
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids(folder)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


class TestTheLaunchConfig:
    def test_says_how_many_processes_where_nothing_else_does(self, tmp_path: Path):
        file = tmp_path / "a.yaml"
        file.write_text("distributed_type: MULTI_GPU\nnum_processes: 4\n")
        assert launcher_of(None, strategy="ddp", config_file=file).processes == 4
        assert launcher_of(2, strategy="ddp", config_file=file).processes == 2

    def test_one_process_is_this_one(self):
        assert launcher_of(None, strategy="ddp", config_file=None).kind == "inline"
        assert launcher_of(1, strategy="fsdp2", config_file=None).kind == "inline"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("distributed_type: FSDP", "has distributed_type: FSDP.*--strategy"),
            ("distributed_type: DEEPSPEED", "has distributed_type: DEEPSPEED"),
            ("num_machines: 2", "asks for 2 machines; a step runs on one"),
            ("- 1", "holds no mapping"),
        ],
    )
    def test_what_it_must_not_say_is_refused(self, tmp_path: Path, text: str, message: str):
        file = tmp_path / "a.yaml"
        file.write_text(f"{text}\n")
        with pytest.raises(UserError, match=message):
            launcher_of(2, strategy="ddp", config_file=file)
