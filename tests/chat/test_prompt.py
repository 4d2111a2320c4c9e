import os
import stat

import pytest

from demiurgic.chat.prompt import goes_on, history_file, prompt_session
from demiurgic.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("a question", False),
        ("a line\\", True),
        ("```python\nx = 1", True),
        ("```python\nx = 1\n```", False),
        ("a `word` and ``` in a line", False),
    ],
)
def test_enter_begins_a_new_line_after_a_backslash_and_inside_a_block(text, more):
    assert goes_on(text) is more


def completions(text: str, *, names=()) -> list[str]:
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    session = prompt_session(history=None, names=lambda: names, colour=False)
    return [found.text for found in session.completer.get_completions(Document(text), CompleteEvent())]


def test_commands_and_what_they_take_are_completed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.jsonl").touch()
    assert completions("/s") == ["system", "set", "save", "save!", "stats"]
    assert completions("/set t") == ["temperature", "top_p"]
    assert completions("/help un") == ["undo"]
    assert completions("/model st", names=["student", "teacher"]) == ["student"]
    assert completions("/load ta") == ["lk.jsonl"]
    assert completions("a question about /s") == []


def test_the_history_is_the_owners_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = history_file()
    assert path == tmp_path / "state" / "demiurgic" / "chat_history"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("kept")
    path.chmod(0o644)
    assert history_file().read_text() == "kept"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_history_that_cannot_be_written_is_said_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="--no-history"):
        history_file()
    monkeypatch.setenv("XDG_STATE_HOME", os.devnull)
    with pytest.raises(UserError, match="cannot be written"):
        history_file()
