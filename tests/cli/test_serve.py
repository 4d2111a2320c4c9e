"""`demiurgic serve`, as a person starts and stops it."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from demiurgic.cli.serve import command
from demiurgic.core.errors import UserError
from local_models import Pair, tiny_pair
from written_store import WrittenStore

PROGRAM = "import sys; from demiurgic.cli.serve import command; sys.exit(command.main(standalone_mode=False))"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return tiny_pair(tmp_path_factory.mktemp("pair"))


@contextmanager
def started(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command in a process of its own, and the lines it wrote until it listened."""
    words = [sys.executable, "-c", PROGRAM, *map(str, arguments), "--port", "0", "--threads", "1"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            lines: list[str] = []
            for line in process.stderr:
                lines.append(line.rstrip())
                if "curl" in line:
                    break
            yield process, lines
        finally:
            if process.poll() is None:
                process.kill()


def test_it_says_what_it_serves_and_how_to_ask_and_ends_on_sigterm(pair: Pair):
    other = shutil.copytree(pair.folder, pair.folder.with_name("other"))
    with started(pair.gguf, other) as (process, lines):
        assert lines[0].startswith("model: a GGUF file from elsewhere")
        assert "of which nothing is proven; a context of 256 tokens." in lines[1]
        address = lines[2].split()[2].removesuffix(".")
        with urllib.request.urlopen(f"{address}/models") as response:
            assert [model["id"] for model in json.load(response)["data"]] == ["model", "other"]
        curl = lines[3]
        assert f"{address}/chat/completions" in curl
        assert json.loads(curl[curl.index("'{") + 1 : -1])["model"] == "model"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_ctrl_c_lets_a_running_answer_end(pair: Pair):
    with started(pair.gguf) as (process, lines):
        address = lines[1].split()[2].removesuffix(".")
        body = {"model": "model", "messages": [{"role": "user", "content": "hi"}], "stream": True, "temperature": 0}
        asked = urllib.request.Request(
            f"{address}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=20) as response:
            response.readline()
            threading.Timer(0, process.send_signal, (signal.SIGINT,)).start()
            assert response.read().endswith(b"data: [DONE]\n\n")
        assert process.wait(20) == 130


def test_ctrl_c_while_a_model_loads_says_what_there_is_to_say(pair: Pair):
    program = (
        "import os, signal, threading, time; import demiurgic.providers.local as local; "
        "local.open_local = lambda *_, **__: time.sleep(60); "  # as long as a model of many gigabytes takes
        f"threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT)).start(); {PROGRAM}"
    )
    words = [sys.executable, "-c", program, str(pair.gguf), "--port", "0"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (130, "Stopped before anything was served.\n")


def test_a_model_that_is_not_there_is_a_persons_mistake(tmp_path: Path):
    with pytest.raises(UserError, match="nowhere"):
        CliRunner().invoke(command, ["nowhere", "--store", str(tmp_path)], catch_exceptions=False)


def test_two_models_of_one_name_are_refused(pair: Pair):
    with pytest.raises(UserError, match="Two of the models are called model"):
        CliRunner().invoke(command, [str(pair.gguf), str(pair.folder)], catch_exceptions=False)


def test_a_model_that_missed_its_gates_is_served_only_when_told(pair: Pair, tmp_path: Path):
    store = tmp_path / "store"
    written = WrittenStore(store)
    written.start("poor")
    parts = {"model": "model"}
    gates = [{"metric": "loss", "max": 1}]
    written.made("poor", "train", metrics={"loss": 2}, parts=parts, gates=gates, files={"model": pair.folder})
    with pytest.raises(UserError, match=r"poor was rejected: loss = 2.*--even-rejected"):
        CliRunner().invoke(command, ["poor", "--store", str(store)], catch_exceptions=False)
    with started("poor", "--store", store, "--even-rejected") as (_, lines):
        assert "which was rejected: loss = 2" in " ".join(lines)


def test_an_empty_key_is_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SERVE_KEY", "")
    with pytest.raises(UserError, match="SERVE_KEY is not set"):
        CliRunner().invoke(command, [str(pair.gguf), "--api-key-env", "SERVE_KEY"], catch_exceptions=False)


def test_help_shows_examples():
    assert (
        "demiurgic serve student --host 0.0.0.0 --api-key-env MY_KEY" in CliRunner().invoke(command, ["--help"]).output
    )
