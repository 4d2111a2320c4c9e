"""The line a person types: several lines, history, completion. Knows the commands' names and no model."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.chat.commands import COMMANDS, SETTINGS
from demiurgic.core.errors import UserError
from demiurgic.core.optional import require

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.key_binding import KeyBindings

FENCE = re.compile(r"^ {0,3}```", re.MULTILINE)
HISTORY = "chat_history"
PATHS = ("save", "save!", "load")


def history_file() -> Path:
    """The history in the user's state folder (XDG Base Directory), made so that its owner alone may read it.

    Raises UserError when it cannot be written.
    """
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = Path(base).expanduser() / "demiurgic" / HISTORY
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise UserError(
            f"The history {path} cannot be written ({error.strerror}). Set XDG_STATE_HOME to a folder of yours, or "
            "leave it out with --no-history."
        ) from None
    return path


def goes_on(text: str) -> bool:
    """Whether Enter after `text` begins a new line: it ends in a backslash, or a ``` block is open."""
    return text.endswith("\\") or len(FENCE.findall(text)) % 2 == 1


def prompt_session(*, history: Path | None, names: Callable[[], Sequence[str]], colour: bool) -> "PromptSession[str]":
    """What reads a question. `names` are the models that /model offers."""
    require("prompt_toolkit")
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import get_app
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.output import ColorDepth
    from prompt_toolkit.styles import Style

    session: PromptSession[str] = PromptSession(
        multiline=True,
        prompt_continuation=lambda width, number, is_wrapped: "" if is_wrapped else "  ",
        history=FileHistory(str(history)) if history else InMemoryHistory(),
        completer=_completer(names),
        complete_while_typing=Condition(lambda: get_app().current_buffer.text.startswith("/")),
        key_bindings=_keys(),
        style=Style.from_dict({"prompt": "bold"} if colour else {}),
        color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
        reserve_space_for_menu=6,
    )
    return session


def _keys() -> "KeyBindings":
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()
    keys.add("enter")(_send)
    keys.add("escape", "enter")(_new_line)
    return keys


def _send(event: Any) -> None:
    buffer = event.current_buffer
    if buffer.complete_state and buffer.complete_state.current_completion:
        buffer.complete_state = None
    elif goes_on(buffer.document.text_before_cursor):
        if buffer.document.char_before_cursor == "\\":
            buffer.delete_before_cursor()
        buffer.newline(copy_margin=False)
    else:
        buffer.validate_and_handle()


def _new_line(event: Any) -> None:
    event.current_buffer.newline(copy_margin=False)


def _completer(names: Callable[[], Sequence[str]]) -> "Completer":
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    paths = PathCompleter(expanduser=True)

    class Commands(Completer):  # type: ignore[misc]  # prompt_toolkit is read without its types
        """Names of commands, then what each of them takes."""

        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            text = document.text_before_cursor
            if not text.startswith("/") or "\n" in text:
                return
            name, space, argument = text[1:].partition(" ")
            if space and name in PATHS:
                yield from paths.get_completions(Document(argument, len(argument)), complete_event)
                return
            wanted = argument if space else name
            for word, line in _words(name if space else "", names):
                if word.startswith(wanted):
                    yield Completion(word, start_position=-len(wanted), display_meta=line)

    return Commands()


def _words(command: str, names: Callable[[], Sequence[str]]) -> Iterable[tuple[str, str]]:
    """What may stand after `command`, or the commands themselves where it is empty; each with a line about it."""
    if command == "":
        return [(name, known.line) for name, known in COMMANDS.items()]
    if command == "help":
        return [(name, known.line) for name, known in COMMANDS.items()]
    if command == "set":
        return [(name, "") for name in SETTINGS]
    if command == "model":
        return [(name, "") for name in names()]
    return []
