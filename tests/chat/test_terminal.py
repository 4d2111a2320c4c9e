"""Whole sessions as a person has them: the real program on a pseudo-terminal, answering with a tiny model."""

import io
import json
import shutil
import stat
import sys
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from demiurgic.chat.commands import Desk
from demiurgic.chat.screen import Screen, harmless
from demiurgic.chat.session import Session
from demiurgic.chat.terminal import Terminal as Chat
from scripted_models import answering
from terminals import Terminal

PROGRAM = [sys.executable, "-m", "demiurgic", "chat"]
PROMPT = "\n>"


@pytest.fixture
def start(tmp_path: Path):
    def chat(*arguments: str, columns: int = 100, **environment: str) -> Terminal:
        environment = {"XDG_STATE_HOME": str(tmp_path / "state"), **environment}
        return Terminal([*PROGRAM, *arguments], columns=columns, environment=environment, folder=tmp_path)

    return chat


def prompted(terminal: Terminal) -> None:
    """Wait until the program waits for a question."""
    terminal.wait_until(lambda shown: shown.endswith(PROMPT), what="a prompt")


def test_a_whole_session(start, gguf: Path, tmp_path: Path):
    shutil.copy(gguf, tmp_path / "other.gguf")
    with start(str(gguf), "--temperature", "0", "--max-tokens", "8") as terminal:
        terminal.wait_for(PROMPT)
        assert "from elsewhere: nothing is proven about this file" in terminal.text
        assert "runs in llama.cpp" in terminal.text
        assert "small text completer" in terminal.text

        terminal.send("first line\\\rsecond line\x1b\rthird line\r")
        terminal.wait_for("[8 tokens")
        terminal.send("\x1b[200~pasted\nin two lines\x1b[201~\r")
        terminal.wait_for("[8 tokens", times=2)

        terminal.send("/save talk.jsonl\r")
        terminal.wait_for("2 answers saved in talk.jsonl.")
        said = [m["content"] for m in json.loads((tmp_path / "talk.jsonl").read_text())["messages"]]
        assert said[::2] == ["first line\nsecond line\nthird line", "pasted\nin two lines"]
        assert all(harmless(answer).rstrip() in terminal.text for answer in said[1::2])

        terminal.send("/reset\r")
        terminal.wait_for("2 answers forgotten")
        terminal.send("/load talk.jsonl\r")
        terminal.wait_for("2 answers loaded from talk.jsonl.")
        terminal.wait_for("> pasted\n  in two lines", times=2)

        terminal.send("/model other.gguf\r")
        terminal.wait_for("The conversation goes on with it")
        terminal.send("/mdel other\r")
        terminal.wait_for('Did you mean "/model"?')
        terminal.send("/quit\r")
        assert terminal.wait_until_it_ends() == 0
    history = tmp_path / "state" / "demiurgic" / "chat_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "+third line" in history.read_text()


def test_ctrl_c_stops_the_answer_and_not_the_program(start, gguf: Path, tmp_path: Path):
    with start(str(gguf), "--temperature", "0", "--max-tokens", "30000", "--no-history") as terminal:
        terminal.wait_for(PROMPT)
        before = len(terminal.text)
        terminal.send("Go on\r")
        terminal.wait_until(lambda shown: len(shown) > before + 200, what="a long answer")
        terminal.send("\x03")
        terminal.wait_for("[stopped; what came is kept.")

        terminal.send("/stats\r")
        terminal.wait_for("1 of them interrupted")
        prompted(terminal)
        terminal.send("half a question\x03")
        terminal.send("\x03")
        terminal.wait_for("Ctrl-C once more leaves")
        terminal.send("/undo\r")
        terminal.wait_for("Taken back: Go on")
        prompted(terminal)
        terminal.send("\x03")
        terminal.wait_for("Ctrl-C once more leaves", times=2)
        prompted(terminal)
        terminal.send("\x03")
        assert terminal.wait_until_it_ends() == 0
    assert not (tmp_path / "state").exists()


def test_an_answer_stopped_before_its_first_piece_leaves_the_conversation_and_its_figures_alone():
    answers = answering("one two three", stopped_at=1)
    desk = Desk(Session(answers.provider), answers, open=lambda name: answers)
    out = io.StringIO()
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        chat = Chat(desk, Screen(out, colour=False), history=None, names=list)
        keys.send_text("first\rsecond\r/quit\r")
        chat.run()
    assert out.getvalue().count("first after") == 1
    assert "Stopped; the conversation is unchanged." in out.getvalue()
    assert [turn.question for turn in desk.session.turns] == ["first"]


def test_a_question_that_does_not_fit_is_refused_and_the_chat_goes_on(start, gguf: Path):
    with start(str(gguf)) as terminal:
        terminal.wait_for(PROMPT)
        terminal.send("/set max_tokens 40000\r")
        terminal.wait_for("max_tokens 40000")
        terminal.send("hello\r")
        terminal.wait_until(
            lambda shown: "The conversation is unchanged: /undo" in " ".join(shown.split()), what="a refusal"
        )
        terminal.send("\x04")
        assert terminal.wait_until_it_ends() == 0


def test_a_narrow_window_without_colour(start, gguf: Path):
    with start(str(gguf), "--max-tokens", "4", "--temperature", "0", columns=60, NO_COLOR="1") as terminal:
        terminal.wait_for(PROMPT)
        terminal.send("/help\r")
        terminal.wait_for("prompt leaves.")
        terminal.send("hello\r")
        terminal.wait_for("tokens;")
        terminal.send("\x04")
        assert terminal.wait_until_it_ends() == 0
    assert not terminal.screen.coloured
    assert "cannot hold a\nconversation" in terminal.text or "hold a conversation" in terminal.text
    assert max(len(line) for line in terminal.text.split("\n")) <= 60


def test_a_student_says_what_it_is_and_offers_three_completions(start, store_folder: Path):
    with start("student", "--store", str(store_folder), "--no-history") as terminal:
        terminal.wait_for(PROMPT)
        assert "made here by the step student (train, key " in terminal.text
        assert "writes Python-shaped text; it does not know facts" in terminal.text
        assert "  3  Write the body of this Python function:" in terminal.text
        terminal.send("1\r")
        terminal.wait_for("given]")
        assert "\ndef is_closed(self):" in terminal.text
        terminal.send("2\r")
        terminal.wait_for("given]", times=2)
        terminal.send("\x04")
        assert terminal.wait_until_it_ends() == 0
    assert terminal.screen.coloured
