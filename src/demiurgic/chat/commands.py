"""The /commands: a table of functions on a desk (session, what answers, file it is saved in). Knows no terminal.

A command returns what happened as lines to show; the desk says what the terminal must do next (answer again, leave).
"""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demiurgic.chat.about import Answering, facts_of, starting_sampling, warning_of
from demiurgic.chat.session import Session, Turn
from demiurgic.chat.transcript import load, save
from demiurgic.core.console import duration
from demiurgic.core.errors import UserError, unknown
from demiurgic.providers.base import Sampling

Open = Callable[[str], Answering]
"""Opens a model by the name a person gives; raises UserError. Slow for a large one."""


@dataclass(slots=True)
class Desk:
    """What a chat has before it: changed by commands, read by the terminal."""

    session: Session
    answering: Answering
    open: Open
    file: Path | None = None
    """Where this conversation was saved or loaded from: `/save` without a name writes there again."""
    retry: bool = False
    """Set by /retry: the terminal draws another answer."""
    shown: Turn | None = None
    """Set by /load: the terminal shows this turn again."""
    done: bool = False
    """Set by /quit."""


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    wants: str
    line: str
    run: Callable[[Desk, str], Sequence[str]]
    needs: bool = False
    """Whether it cannot do without what it wants."""

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.wants}".rstrip()


def is_command(text: str) -> bool:
    """Whether a line is for the chat and not for the model; a space before the slash makes it a question."""
    return text.startswith("/")


def run_command(text: str, desk: Desk) -> Sequence[str]:
    """Do what `/name argument` says; returns the lines to show.

    Raises UserError for an unknown command, with the nearest, and for an argument that does not fit.
    """
    name, _, argument = text[1:].partition(" ")
    name, break_, more = name.partition("\n")
    argument = (more if break_ else argument).strip()
    if name not in COMMANDS:
        what = unknown("command", f"/{name}", [f"/{known}" for known in COMMANDS])
        raise UserError(f"{what} To send a text that begins with a slash, put a space before it.")
    command = COMMANDS[name]
    if command.needs and not argument:
        raise UserError(f"/{name} wants {command.wants}: {command.line[0].lower()}{command.line[1:]}")
    if argument and not command.wants:
        raise UserError(f'/{name} takes nothing after it, found "{argument}".')
    return command.run(desk, argument)


def _help(desk: Desk, argument: str) -> Sequence[str]:
    del desk
    if argument:
        name = argument.removeprefix("/")
        if name not in COMMANDS:
            raise UserError(unknown("command", f"/{name}", [f"/{known}" for known in COMMANDS]))
        return [f"{COMMANDS[name].usage}: {COMMANDS[name].line}"]
    width = max(len(command.usage) for command in COMMANDS.values())
    return [*(f"{command.usage.ljust(width)}  {command.line}" for command in COMMANDS.values()), "", *KEYS]


def _reset(desk: Desk, argument: str) -> Sequence[str]:
    del argument
    num_turns = len(desk.session.turns)
    desk.session.reset()
    desk.file = None
    return [f"A new conversation; {_count(num_turns, 'answer')} forgotten."]


def _undo(desk: Desk, argument: str) -> Sequence[str]:
    del argument
    first_line = desk.session.undo().question.strip().partition("\n")[0]
    return [f"Taken back: {first_line}"]


def _retry(desk: Desk, argument: str) -> Sequence[str]:
    del argument
    if not desk.session.turns:
        raise UserError("There is no question yet to answer again. Ask one first.")
    desk.retry = True
    return []


def _system(desk: Desk, argument: str) -> Sequence[str]:
    if argument:
        desk.session.system = "" if argument == "off" else argument
    text = desk.session.system
    return [f"System text, from the next answer on: {text}" if text else "No system text."]


def _set(desk: Desk, argument: str) -> Sequence[str]:
    words = argument.split()
    if words and words[0] not in SETTINGS:
        raise UserError(unknown("setting", words[0], SETTINGS))
    if len(words) not in (0, 2):
        raise UserError("/set wants a name and a value, such as: /set temperature 0.7 (or: /set temperature default)")
    if words:
        name, value = words
        setting = None if value == "default" else SETTINGS[name](name, value)
        changes: dict[str, Any] = {name: setting}
        desk.session.sampling = replace(desk.session.sampling, **changes)
    return [sampling_line(desk.session.sampling)]


def _save(desk: Desk, argument: str, *, replace: bool = False) -> Sequence[str]:
    path = _path(argument) if argument else desk.file
    if path is None:
        raise UserError("/save wants a name the first time, such as: /save talk.jsonl")
    own = desk.file is not None and path.absolute() == desk.file.absolute()
    existed = path.exists()
    num_answers = save(desk.session, path, label=desk.answering.label, replace=replace or own)
    desk.file = path
    return [f"{_count(num_answers, 'answer')} saved in {path}{' (replaced what was there)' if existed else ''}."]


def _replace(desk: Desk, argument: str) -> Sequence[str]:
    return _save(desk, argument, replace=True)


def _load(desk: Desk, argument: str) -> Sequence[str]:
    path = _path(argument)
    transcript = load(path)
    lost = len(desk.session.turns)
    desk.session.system = transcript.system
    desk.session.turns[:] = transcript.turns
    desk.file = path
    lines = [f"{_count(len(transcript.turns), 'answer')} loaded from {path}."]
    if lost:
        lines.append(f"They take the place of the conversation before ({_count(lost, 'answer')}).")
    desk.shown = transcript.turns[-1]
    return lines


def _model(desk: Desk, argument: str) -> Sequence[str]:
    if argument:
        opened = desk.open(argument)
        desk.answering.provider.close()
        if desk.session.sampling == starting_sampling(desk.answering):
            desk.session.sampling = starting_sampling(opened)
        desk.answering = opened
        desk.session.provider = opened.provider
    warning = warning_of(desk.answering)
    lines = [desk.answering.label, *facts_of(desk.answering), *([warning] if warning else [])]
    if argument and desk.session.turns:
        lines.append("The conversation goes on with it; /reset starts a new one.")
    return lines


def _stats(desk: Desk, argument: str) -> Sequence[str]:
    del argument
    session, totals = desk.session, desk.session.totals
    lines = [
        f"conversation   {_count(len(session.turns), 'answer')}",
        f"since start    {_count(totals.num_answers, 'answer')} drawn in {duration(totals.seconds)}, "
        f"{totals.num_interrupted} of them interrupted",
        f"tokens         {totals.prompt_tokens:,} read, {totals.completion_tokens:,} written",
    ]
    if session.turns and (timing := session.turns[-1].timing):
        speed = timing.tokens_per_second
        lines.append(
            f"last answer    first piece after {timing.first_piece_seconds:.2f} s, whole after {timing.seconds:.2f} s"
            + (f", {speed:.0f} tokens/s" if speed else "")
        )
        if timing.usage:
            used = timing.usage.prompt_tokens + timing.usage.completion_tokens
            lines.append(f"context        {used:,} of {desk.answering.provider.context_length:,} tokens")
    return lines


def _quit(desk: Desk, argument: str) -> Sequence[str]:
    del argument
    desk.done = True
    return []


def sampling_line(sampling: Sampling) -> str:
    """Every setting with its value; `default` is the provider's own."""
    values = ((name, getattr(sampling, name)) for name in SETTINGS)
    return ", ".join(
        f"{name} {'default' if value is None else value if isinstance(value, int) else format(value, 'g')}"
        for name, value in values
    )


def _number(low: float, high: float, *, above: bool = False) -> Callable[[str, str], float]:
    def read(name: str, text: str) -> float:
        bounds = f"{'above' if above else 'from'} {low:g} to {high:g}"
        try:
            value = float(text)
        except ValueError:
            raise UserError(f'{name} wants a number {bounds}, found "{text}".') from None
        if not math.isfinite(value) or not low <= value <= high or (above and value == low):
            raise UserError(f"{name} wants a number {bounds}, found {text}.")
        return value

    return read


def _whole(low: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or len(text) > 18 or int(text) < low:
            raise UserError(f'{name} wants a whole number of at least {low}, found "{text}".')
        return int(text)

    return read


SETTINGS: Mapping[str, Callable[[str, str], float | int]] = {
    "temperature": _number(0, 10),
    "max_tokens": _whole(1),
    "top_p": _number(0, 1, above=True),
    "seed": _whole(0),
}
"""What /set and the command line's options set, with how each is read."""


def _path(text: str) -> Path:
    """A path as a person types it: `~`, and quotes or a backslash for a space."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"{text} is no path: {error}.") from None
    return Path(words[0] if len(words) == 1 else text).expanduser()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command("help", "[COMMAND]", "Show the commands, or one of them.", _help),
        Command("reset", "", "Start a new conversation; system text and settings stay.", _reset),
        Command("undo", "", "Take back the last question and its answer.", _undo),
        Command("retry", "", "Draw another answer to the last question.", _retry),
        Command("system", "[TEXT]", "Set the system text, or show it; `off` takes it away.", _system),
        Command("set", "[NAME VALUE]", "Set temperature, max_tokens, top_p or seed, or show them.", _set),
        Command("save", "[FILE]", "Save the conversation as a row in a .jsonl file.", _save),
        Command("save!", "FILE", "The same, and replace a file that is there.", _replace, needs=True),
        Command("load", "FILE", "Go on from a saved conversation.", _load, needs=True),
        Command(
            "model",
            "[NAME]",
            "Let another model answer (for a moment both are in memory), or show which one does.",
            _model,
        ),
        Command("stats", "", "Show tokens, times and the room left in the context.", _stats),
        Command("quit", "", "Leave; so does Ctrl-D.", _quit),
    )
}
KEYS = (
    "Enter sends. A new line: Alt-Enter, or Enter after a \\ or inside an open ``` block.",
    "Ctrl-C stops an answer, or clears the line; twice at an empty prompt leaves.",
)
