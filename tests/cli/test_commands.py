"""The command line, as a person meets it: real stages on a handful of rows."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from demiurgic.cli.main import COMMANDS, main

ROWS = "".join(
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": f"What is {n} + {n}?"},
                {"role": "assistant", "content": f"The sum of {n} and {n} is {n + n}."},
            ],
            "meta": {"module": f"m{n % 10}"},
        }
    )
    + "\n"
    for n in range(60)
)
RECIPE = """\
name: sums
seed: 1
steps:
  raw:   {use: collect, source: {use: files, paths: [rows.jsonl], license: MIT}}
  clean: {use: curate, data: raw, filters: [schema], split: {by: module, held_out: 0.3}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rows.jsonl").write_text(ROWS)
    (tmp_path / "sums.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["demiurgic", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    done = capsys.readouterr()
    return int(caught.value.code or 0), done.out, done.err


@pytest.fixture
def run(capsys, monkeypatch):
    return lambda *arguments: call(*arguments, capsys=capsys, monkeypatch=monkeypatch)


def test_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    assert all(re.search(rf"^  {name} ", out, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(run, name):
    code, out, _ = run(name, "--help")
    assert code == 0
    assert re.search(rf"Examples?:\s+demiurgic {name}", out)


def test_a_recipe_runs_then_is_reused(run, place):
    code, out, err = run("run", "sums.yaml")
    assert code == 0
    assert "2 made (" in out
    assert "Next: demiurgic show" in out
    assert [line.split()[:2] for line in err.splitlines()] == [["raw", "made"], ["clean", "made"]]
    code, _, err = run("run", "sums.yaml")
    assert code == 0
    assert [line.split()[:2] for line in err.splitlines()] == [["raw", "reused"], ["clean", "reused"]]


def test_output_is_plain_when_it_is_not_a_terminal(run, place):
    _, out, err = run("run", "sums.yaml")
    assert "\x1b" not in out + err


def test_json_is_one_object_and_nothing_else(run, place):
    _, out, err = run("run", "sums.yaml", "--json")
    assert json.loads(out)["clean"]["status"] == "made"
    assert err == ""
    for command in (["plan", "sums.yaml"], ["status"], ["show", "clean"], ["list"], ["gc"], ["doctor"]):
        assert isinstance(json.loads(run(*command, "--json")[1]), dict | list)


def test_the_answers_of_a_provider_are_kept_in_the_file_that_is_named(run, place):
    teacher = "{use: scripted, answers: [one, two, three]}"
    (place / "asked.yaml").write_text(RECIPE + f"  asked: {{use: generate, prompts: raw, teacher: {teacher}}}\n")
    code, _, err = run("run", "asked.yaml", "--journal", "kept.sqlite", "--in-flight", "2")
    assert (code, (place / "kept.sqlite").is_file()) == (0, True), err
    assert not (place / "store-journal.sqlite").exists()
    raw = next(str(path) for path in place.glob("store/raw-*"))
    options = ("--seed", "1", "--out", "again", "--journal", "kept.sqlite", "--in-flight", "2", "--json")
    _, out, _ = run("do", "generate", f"prompts={raw}", f"teacher={teacher}", *options)
    assert json.loads(out)["summary"]["metrics"]["from_journal"]["value"] == 60
    assert [path.name for path in place.glob("*.sqlite")] == ["kept.sqlite"]


@pytest.mark.parametrize("command", [["run"], ["do", "generate", "--out", "x"]])
def test_at_least_one_question_is_in_flight(run, command):
    code, _, err = run(*command, "--in-flight", "0")
    assert (code, "0 is not in the range" in err) == (2, True)


def test_plan_says_what_would_run_and_why(run, place):
    run("run", "sums.yaml", "-q")
    _, out, _ = run("plan", "sums.yaml", "--set", "clean.split.held_out=0.4")
    assert re.search(r"^raw +reuse", out, re.MULTILINE)
    assert "changed: split.held_out 0.3 -> 0.4" in out


def test_status_names_each_step_with_its_ledger_line(run, place):
    run("run", "sums.yaml", "-q")
    _, out, _ = run("status", "--verify")
    assert re.search(r"^clean +made +.*[0-9a-f]{8}", out, re.MULTILINE)
    assert "Every file in the store has the content that was written." in out


def test_show_prints_a_step_and_its_rows(run, place):
    run("run", "sums.yaml", "-q")
    _, out, _ = run("show", "raw")
    assert "rows: dataset" in out
    _, out, _ = run("show", "clean", "--rows", "2", "--part", "held_out", "--json")
    assert [row["license"] for row in json.loads(out)] == ["MIT", "MIT"]


def test_show_shape_prints_parameters_and_memory(run):
    _, out, _ = run("show", "shape", "7b")
    assert "total" in out
    assert all(use in out for use in ("full", "lora", "qlora", "4-bit"))


def test_list_prints_every_registered_thing(run):
    _, out, _ = run("list")
    for name in (
        "collect",
        "curate",
        "train",
        "forward_kl",
        "python_stdlib",
        "min_words",
        "bits_per_byte",
        "7b",
        "dataset",
    ):
        assert re.search(rf"^  {name} ", out, re.MULTILINE), name


def test_do_runs_one_stage(run, place):
    code, _, _ = run("do", "collect", "source={use: files, paths: [rows.jsonl], license: MIT}", "--out", "rows")
    assert code == 0
    code, _, _ = run(
        "do", "curate", "data=rows", "split={by: module, held_out: 0.3}", "filters=[schema]", "--out", "clean"
    )
    assert code == 0
    assert (place / "clean" / "manifest.json").exists()


def test_gc_lists_and_deletes(run, place):
    run("run", "sums.yaml", "-q")
    run("run", "sums.yaml", "-q", "--set", "clean.split.held_out=0.4")
    _, out, _ = run("gc", "--yes")
    assert "no recipe, as last run, uses it" in out
    assert run("gc")[1] == "Nothing to delete.\n"


def test_revoke_makes_everything_after_it_unusable(run, place):
    run("run", "sums.yaml", "-q")
    _, out, _ = run("revoke", "raw", "--why", "wrong file")
    assert "raw, clean" in out
    code, _, err = run("run", "sums.yaml")
    assert code == 2
    assert "raw was revoked: wrong file" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], 'There is no command "rnu". Did you mean "run"?'),
        (["run", "stdlbi"], 'There is no recipe "stdlbi". Did you mean "stdlib"?'),
        (["run", "none.yaml"], "there is no such file"),
        (["run", "sums.yaml", "--set", "clean.splt=1"], 'unknown option "splt". Did you mean "split"?'),
        (["run", "sums.yaml", "--to", "claen"], 'There is no step "claen". Did you mean "clean"?'),
        (["run", "sums.yaml", "--wrokers", "2"], "No such option"),
        (["show", "student"], 'holds no finished step "student"'),
        (["show", "shape", "8b"], 'There is no shape "8b"'),
        (["show", "shape"], "show shape wants a name"),
        (["list", "lossess"], 'Did you mean "losses"?'),
        (["do", "colect", "--out", "x"], 'Did you mean "collect"?'),
        (["do", "collect", "--out", "x"], "collect.source: Field required"),
        (["do", "collect", "source=fiels", "--out", "x"], 'Did you mean "files"?'),
        (["do", "collect", "source", "--out", "x"], "is not KEY=VALUE"),
        (["do", "curate", "data=nowhere", "--out", "x"], "nowhere is not an artifact"),
        (["do", "collect", "source=python_stdlib", "--out", "."], "exists already"),
        (["revoke", "raw"], "revoke wants --why"),
    ],
)
def test_a_mistake_is_one_paragraph_and_exit_code_2(run, place, arguments, says):
    code, _, err = run(*arguments)
    assert code == 2
    assert says in " ".join(err.split())
    assert "Traceback" not in err


def test_a_rejected_step_is_exit_code_1(run, place):
    (place / "sums.yaml").write_text(
        RECIPE.replace("held_out: 0.3}}", "held_out: 0.3}, gates: [{metric: train, min: 1e9}]}")
    )
    code, out, _ = run("run", "sums.yaml")
    assert code == 1
    assert "clean: rejected: train = " in out


def test_a_terminal_gets_colour_and_a_bar(place):
    """Through a pseudo-terminal, as a person sees it."""
    parent, child = pty.openpty()
    program = [sys.executable, "-m", "demiurgic", "run", "sums.yaml"]
    with subprocess.Popen(
        program, stdin=child, stdout=child, stderr=child, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(child)
        seen = b""
        while True:
            try:
                piece = os.read(parent, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        assert process.wait() == 0
    text = seen.decode()
    assert "running" in text
    assert re.search(r"clean +made", text)


def test_a_broken_pipe_is_quiet(place):
    # The reader is gone before the first word: `true` ends while Python is still starting.
    command = f"{shlex.quote(sys.executable)} -m demiurgic list | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
