"""Whole processes: what a person sees, and what a script gets, when a run cannot go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demiurgic.cli.main import cli, main

RECIPE = """\
name: library
seed: 1
steps:
  raw:   {use: collect, source: {use: python_stdlib, packages: [asyncio, email, json]}}
  clean: {use: curate, data: raw, split: {by: module, held_out: 0.2}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "library.yaml").write_text(RECIPE)
    return tmp_path


def start(place: Path, *arguments: str, **more) -> subprocess.Popen:
    command = [sys.executable, "-m", "demiurgic", *arguments]
    return subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def end(process: subprocess.Popen) -> tuple[int, str]:
    _, error = process.communicate(timeout=120)
    assert "Traceback" not in error, error
    return process.returncode, error


def test_ctrl_c_is_130_and_the_next_run_goes_on(place):
    process = start(place, "run", "library.yaml")
    wait_for(lambda: list(place.glob("store/raw-*")))
    process.send_signal(signal.SIGINT)
    code, error = end(process)
    assert code == 130
    assert "the same command goes on from there" in error
    assert end(start(place, "run", "library.yaml"))[0] == 0


def test_ctrl_c_promises_a_checkpoint_only_where_something_is_made(place, monkeypatch, capsys):
    def interrupted(context):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "invoke", interrupted)
    for command, promised in (("run", True), ("do", True), ("report", False), ("serve", False), ("chat", False)):
        monkeypatch.setattr(sys, "argv", ["demiurgic", command])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 130
        assert ("left a checkpoint" in capsys.readouterr().err) == promised, command


def test_two_runs_on_one_store(place):
    holder = start(place, "run", "library.yaml")
    wait_for(lambda: list(place.glob("store/raw-*")))
    code, error = end(start(place, "run", "library.yaml"))
    assert code == 2
    assert f"is in use by process {holder.pid}" in error
    assert end(holder)[0] == 0


def test_a_corrupted_artifact(place):
    assert end(start(place, "run", "library.yaml"))[0] == 0
    shard = next(place.glob("store/raw-*/rows/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-100])
    code, error = end(start(place, "run", "library.yaml"))
    assert code == 2
    assert "The artifact is corrupted: delete store/raw-" in " ".join(error.split())


def small_files() -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))


def test_a_disk_without_room(place):
    code, error = end(start(place, "run", "library.yaml", preexec_fn=small_files))
    assert code == 2
    assert "The disk that holds store is full" in error
    assert end(start(place, "run", "library.yaml"))[0] == 0


@pytest.mark.parametrize(
    ("content", "says"), [("", "is empty"), ("{not json\n" * 20, "row 1"), (None, "does not exist")]
)
def test_a_file_that_holds_nothing_usable(place, content, says):
    if content is not None:
        (place / "rows.jsonl").write_text(content)
    (place / "mine.yaml").write_text(
        "steps:\n  raw: {use: collect, source: {use: files, paths: [rows.jsonl], license: MIT}}\n"
    )
    code, error = end(start(place, "run", "mine.yaml"))
    assert code == 2
    assert says in error


def test_a_few_bad_rows_are_counted_and_written_aside(place):
    good = json.dumps({"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}]})
    lines = [good.replace("a?", f"a{n}?") for n in range(199)]
    (place / "rows.jsonl").write_text("\n".join([*lines[:100], '{"messages": 7}', *lines[100:]]) + "\n")
    (place / "mine.yaml").write_text(
        "steps:\n  raw: {use: collect, source: {use: files, paths: [rows.jsonl], license: MIT}}\n"
    )
    assert end(start(place, "run", "mine.yaml"))[0] == 0
    bad = [json.loads(line) for line in next(place.glob("store/raw-*/bad_rows.jsonl")).read_text().splitlines()]
    assert [(row["row"], row["reason"]) for row in bad] == [(101, "messages is not a list")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written(place):
    (place / "store").mkdir(mode=0o500)
    code, error = end(start(place, "run", "library.yaml"))
    assert code == 2
    assert "Permission denied" in error


def wait_for(look, *, seconds: float = 30) -> None:
    end_time = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end_time, "waited in vain"
        time.sleep(0.01)
