"""One question through a pipe, by a tiny model."""

import io
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demiurgic.cli.main import main
from demiurgic.run.store import Store

PROGRAM = [sys.executable, "-m", "demiurgic", "chat"]


@pytest.fixture
def run(capsys, monkeypatch):
    def call(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["demiurgic", "chat", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.raises(SystemExit) as caught:
            main()
        done = capsys.readouterr()
        return int(caught.value.code or 0), done.out, " ".join(done.err.split())

    return call


def test_words_and_text_are_one_question_and_the_answer_is_all_of_stdout(run, gguf):
    options = (str(gguf), "--seed", "1", "--max-tokens", "12")
    code, out, _ = run(*options, "Explain", "this:", stdin=b"x = 1\n")
    assert code == 0
    code, told, err = run(*options, "--json", stdin=b"Explain this:\nx = 1\n")
    found = json.loads(told)
    assert out == found["text"] + ("" if found["text"].endswith("\n") else "\n")
    assert found["finish"] in ("stop", "length")
    assert found["usage"]["completion_tokens"] <= 12
    assert found["seconds"] > 0
    assert found["model"] == "small"
    assert (code, err) == (0, "")


def test_a_model_that_was_rejected_answers_and_stderr_says_so(run, store_folder, tmp_path):
    store = shutil.copytree(store_folder, tmp_path / "store")
    ledger = Store(store).ledger
    made = next(line for line in ledger.lines() if line.get("step") == "student" and line["event"] == "made")
    line = {name: made[name] for name in ("run", "recipe", "step", "stage", "key")}
    ledger.append("rejected", {**line, "gates": [], "reason": "loss = 9, wanted value <= 1: missed"})
    code, out, err = run("student", "hello", "--store", str(store), "--max-tokens", "2")
    assert (code, bool(out)) == (0, True)
    assert "It was rejected: loss = 9, wanted value <= 1: missed." in err


def test_the_context_can_be_made_smaller(run, gguf):
    code, _, err = run(str(gguf), "word " * 200, "--context", "64")
    assert (code, "context is 64 tokens" in err) == (2, True)


def test_a_closed_stdin_is_an_empty_one(gguf: Path):
    for words, code, says in ((["hi"], 0, ""), ([], 2, "stdin is empty")):
        command = f"{shlex.join([*PROGRAM, str(gguf), *words, '--max-tokens', '2'])} <&-"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_the_system_text_is_part_of_what_is_asked(run, gguf):
    options = (str(gguf), "Count", "--json", "--max-tokens", "1")
    plain, told = (json.loads(run(*options, *more)[1]) for more in ((), ("--system", "Be brief.")))
    assert told["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"]


def test_a_cut_answer_is_noted_on_stderr(run, gguf):
    code, _, err = run(str(gguf), "Count", "--max-tokens", "2", "--temperature", "0")
    assert (code, "cut off: max_tokens" in err) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        ([], b" \n", "stdin is empty and no words were given"),
        ([], b"caf\xe9", "not UTF-8 (byte 4)"),
        (["Go on", "--max-tokens", "0"], b"", "whole number of at least 1"),
        (["Go on", "--temperature", "hot"], b"", "from 0 to 10"),
        ([], b"word " * 40_000, "context is 32768 tokens"),
    ],
)
def test_a_mistake_is_one_paragraph_and_exit_code_2(run, gguf, arguments, stdin, says):
    code, out, err = run(str(gguf), *arguments, stdin=stdin)
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.parametrize(
    ("name", "says"), [("nowhere", 'holds no finished step "nowhere"'), ("notes.txt", "is no GGUF file")]
)
def test_something_that_is_no_model(run, tmp_path, name, says):
    (tmp_path / "notes.txt").touch()
    code, _, err = run(str(tmp_path / name) if "." in name else name, "hello", "--store", str(tmp_path))
    assert (code, says in err) == (2, True)


def test_ctrl_c_is_130_and_keeps_what_was_written(gguf: Path):
    process = subprocess.Popen(
        [*PROGRAM, str(gguf), "Go on", "--max-tokens", "30000", "--temperature", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout and process.stdout.read(1)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.decode().strip() == "Stopped."
    assert out.endswith(b"\n")


def test_a_reader_that_goes_away_is_no_error(gguf: Path):
    command = f"{shlex.join([*PROGRAM, str(gguf), 'Go on', '--max-tokens', '300'])} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
