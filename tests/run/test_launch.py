"""Several processes for one step: they end as one."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from demiurgic.core.artifacts import Manifest
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.core.optional import installed
from demiurgic.run.context import Context, Launcher, Strategy
from demiurgic.run.launch import launcher_of
from demiurgic.run.launch_config import read_config
from demiurgic.run.step import device_name, run_stage
from launched_toys import STAGE
from tiny_models import conversation, tiny_dataset

DEEPSPEED = """
distributed_type: DEEPSPEED
num_processes: {processes}
deepspeed_config: {{zero_stage: {stage}, gradient_accumulation_steps: 1, gradient_clipping: {clipping}}}
"""
TWO = Context(console=Console(quiet=True), device="cpu", launcher=Launcher("accelerate", 2))


def test_each_process_gets_the_config_the_seed_and_its_number(tmp_path: Path):
    data = tiny_dataset(tmp_path / "data", [conversation("a", "b")])
    step = run_stage(STAGE, {"data": data}, tmp_path / "s", seed=7, context=TWO)
    for rank in range(2):
        assert (step / f"seen-{rank}").read_text() == f"{data / 'rows'} 7"
    manifest = Manifest.read(step)
    assert manifest.summary.metrics["rank"].value == 0
    assert (manifest.took["processes"], manifest.took["strategy"]) == (2, "ddp")
    assert manifest.took["device"] == device_name()
    assert not (step / "launch").exists()


def test_a_store_may_be_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As `demiurgic run` does by default: the store is ./store."""
    tiny_dataset(tmp_path / "data", [conversation("a", "b")])
    monkeypatch.chdir(tmp_path)
    step = run_stage(STAGE, {"data": "data"}, Path("s"), seed=7, context=TWO)
    assert (step / "seen-1").read_text() == f"{tmp_path / 'data' / 'rows'} 7"


def test_the_key_does_not_depend_on_the_launcher(tmp_path: Path):
    alone = run_stage(STAGE, {}, tmp_path / "alone", context=Context(console=Console(quiet=True)))
    assert Manifest.read(run_stage(STAGE, {}, tmp_path / "two", context=TWO)).key == Manifest.read(alone).key


def test_a_mistake_that_one_process_finds_ends_all_with_the_same_paragraph(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    with pytest.raises(UserError) as found, all_gone(tmp_path):
        run_stage(STAGE, {"second": "errs"}, tmp_path / "s", context=TWO)
    assert str(found.value) == "Found 3 where 4 was wanted. Write 4."
    assert capfd.readouterr().err == ""


def test_a_failure_of_one_process_is_shown_with_its_traceback_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    failed = r"process 1 of 2 failed:\nTraceback(.|\n)*ZeroDivisionError: of the second"
    with pytest.raises(RuntimeError, match=failed), all_gone(tmp_path):
        run_stage(STAGE, {"second": "fails"}, tmp_path / "s", context=TWO)
    assert capfd.readouterr().err == ""


def test_a_process_that_is_killed_ends_the_others(tmp_path: Path):
    with pytest.raises(RuntimeError, match="process . of 2 ended without a word"), all_gone(tmp_path):
        run_stage(STAGE, {"second": "vanishes"}, tmp_path / "s", context=TWO)


def test_a_launcher_that_does_not_start_is_quoted(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_text("no_field_of_accelerate: 1\n")
    context = replace(TWO, launcher=replace(TWO.launcher, config_file=file))
    with pytest.raises(RuntimeError, match="started none of 2 processes(.|\n)*no_field_of_accelerate"):
        run_stage(STAGE, {}, tmp_path / "s", context=context)


def press_when(happens: Callable[[], bool]) -> None:
    """Press Ctrl-C then."""

    def wait() -> None:
        while not happens():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def test_ctrl_c_reaches_them_and_leaves_none(tmp_path: Path):
    press_when(lambda: len(pids(tmp_path)) == 2)
    with pytest.raises(KeyboardInterrupt), all_gone(tmp_path):
        run_stage(STAGE, {"second": "waits"}, tmp_path / "s", context=TWO)
    assert not list(tmp_path.glob("s-*.partial/launch"))


@pytest.mark.parametrize("seconds", [0.0, 0.8])
def test_ctrl_c_while_they_start_is_no_failure(tmp_path: Path, seconds: float):
    begun: list[float] = []

    def some_time_after_the_start() -> bool:
        if not begun and list(tmp_path.glob("s-*.partial/launch/output.txt")):
            begun.append(time.monotonic())
        return bool(begun) and time.monotonic() - begun[0] >= seconds

    press_when(some_time_after_the_start)
    with pytest.raises(KeyboardInterrupt), all_gone(tmp_path):
        run_stage(STAGE, {"second": "waits"}, tmp_path / "s", context=TWO)


def test_what_an_interrupted_import_raises_is_an_interruption(tmp_path: Path):
    press_when(lambda: len(list(tmp_path.glob("s-*.partial/ready-*"))) == 2)
    with pytest.raises(KeyboardInterrupt), all_gone(tmp_path):
        run_stage(STAGE, {"both": "misunderstand"}, tmp_path / "s", context=TWO)


def test_after_ctrl_c_they_may_take_their_time_to_close_what_they_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("demiurgic.run.launch.GRACE_SECONDS", 0.2)
    press_when(lambda: len(list(tmp_path.glob("s-*.partial/ready-*"))) == 2)
    with pytest.raises(KeyboardInterrupt):
        run_stage(STAGE, {"both": "agree"}, tmp_path / "s", context=TWO)
    assert list(tmp_path.glob("s-*.partial/closed"))


def test_what_a_killed_launch_left_does_not_get_into_the_step(tmp_path: Path):
    alone = Context(console=Console(quiet=True))
    key = Manifest.read(run_stage(STAGE, {}, tmp_path / "first", context=alone)).key
    left = tmp_path / f"s-{key}.partial" / "launch"
    left.mkdir(parents=True)
    (left / "rank-0.pid").write_text("1")
    assert sorted(path.name for path in run_stage(STAGE, {}, tmp_path / "s", context=alone).iterdir()) == [
        "manifest.json",
        "rows",
        "seen-0",
    ]


def pids(folder: Path) -> list[int]:
    found = []
    for path in folder.glob("s-*.partial/launch/*.pid"):
        with suppress(FileNotFoundError, ValueError):  # just being written, or removed
            found.append(int(path.read_text()))
    return found


@contextmanager
def all_gone(folder: Path) -> Iterator[None]:
    """Of the processes that are started in here, none is left soon after."""
    seen: set[int] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            seen.update(pids(folder))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in seen):
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
        assert launcher_of(1, strategy="ddp", config_file=None).kind == "inline"

    @pytest.mark.parametrize("strategy", ["fsdp2", "deepspeed"])
    def test_a_strategy_for_one_process_is_refused(self, strategy: Strategy):
        with pytest.raises(UserError, match=f"--strategy {strategy} says how processes.*Give --processes N"):
            launcher_of(None, strategy=strategy, config_file=None)

    @pytest.mark.parametrize("text", ["num_processes: 1", "gpu_ids: all"])
    def test_one_process_has_no_use_for_it(self, tmp_path: Path, text: str):
        file = tmp_path / "a.yaml"
        file.write_text(f"{text}\n")
        with pytest.raises(UserError, match="is for several processes, and there is one"):
            launcher_of(None, strategy="ddp", config_file=file)

    def test_what_accelerate_writes_where_nothing_was_asked_for_passes(self, tmp_path: Path):
        file = tmp_path / "a.yaml"
        file.write_text("mixed_precision: 'no'\nuse_cpu: false\nfsdp_config: {}\nnum_processes: 2\n")
        assert launcher_of(None, strategy="fsdp2", config_file=file).processes == 2

    def test_what_is_no_text_is_refused(self, tmp_path: Path):
        file = tmp_path / "a.yaml"
        file.write_bytes(b"\xff\xfe")
        with pytest.raises(UserError, match="is not a text file"):
            launcher_of(2, strategy="ddp", config_file=file)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("distributed_type: FSDP", "has distributed_type: FSDP.*--strategy"),
            ("distributed_type: DEEPSPEED", "has distributed_type: DEEPSPEED"),
            ("distributed_type: MEGATRON_LM", "has distributed_type: MEGATRON_LM.*--strategy"),
            ("num_machines: 2", "asks for 2 machines; a step runs on one"),
            ("- 1", "holds no mapping"),
            ("num_processes: [", "not YAML"),
            ("num_processes: two", "has num_processes: two; wanted a whole number from 1 on"),
            ("num_processes: -3", "has num_processes: -3; wanted"),
            ("num_processes: 0", "has num_processes: 0; wanted"),
            ("num_machines: many", "has num_machines: many; wanted"),
            ("mixed_precision: bf16", r"mixed_precision: bf16, which would have no effect: the recipe says it"),
            ("use_cpu: true", "--device cpu says it"),
            ("fsdp_config: {fsdp_version: 2}", "--strategy says it"),
            ("deepspeed_config: {zero_stage: 2}", "--strategy says it"),
        ],
    )
    def test_what_it_must_not_say_is_refused(self, tmp_path: Path, text: str, message: str):
        file = tmp_path / "a.yaml"
        file.write_text(f"{text}\n")
        with pytest.raises(UserError, match=message):
            launcher_of(2, strategy="ddp", config_file=file)

    def test_of_deepspeed_it_may_say_what_is_done_anyway(self, tmp_path: Path):
        file = tmp_path / "a.yaml"
        file.write_text(DEEPSPEED.format(stage=2, clipping="null", processes=4))
        assert read_config(file, strategy="deepspeed") == {"num_processes": 4}

    @pytest.mark.parametrize(
        ("stage", "clipping", "message"),
        [(3, "null", "has zero_stage: 3 in its deepspeed_config.*fsdp2"), (2, "1.0", "has gradient_clipping: 1.0")],
    )
    def test_of_deepspeed_anything_else_is_refused(self, tmp_path: Path, stage: int, clipping: str, message: str):
        file = tmp_path / "a.yaml"
        file.write_text(DEEPSPEED.format(stage=stage, clipping=clipping, processes=4))
        with pytest.raises(UserError, match=message):
            read_config(file, strategy="deepspeed")


@pytest.mark.skipif(installed("deepspeed"), reason="DeepSpeed is installed")
def test_deepspeed_that_is_missing_is_said_with_its_install_line():
    with pytest.raises(UserError, match=r"needs the package deepspeed.*demiurgic\[deepspeed\]"):
        launcher_of(2, strategy="deepspeed", config_file=None)
