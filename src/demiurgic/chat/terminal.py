"""The chat on a terminal: reads, lets the session answer, shows. Knows no command by name and no provider's kind."""

import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.chat.about import facts_of, suggestions_of, warning_of, writes_python
from demiurgic.chat.commands import Desk, is_command, run_command, sampling_line
from demiurgic.chat.painter import Painter
from demiurgic.chat.prompt import prompt_session
from demiurgic.chat.screen import Screen
from demiurgic.chat.session import Pieces, Turn
from demiurgic.chat.suggestions import NUM_DRAWS, Suggestion, draw
from demiurgic.core.errors import UserError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

UNCHANGED = "Stopped; the conversation is unchanged."
AGAIN = "Ctrl-C once more leaves, and so do Ctrl-D and /quit."


class Terminal:
    """One chat, from the first screen to the last line. `names` are the models that /model offers."""

    def __init__(self, desk: Desk, screen: Screen, *, history: Path | None, names: Callable[[], Sequence[str]]) -> None:
        self._desk = desk
        self._screen = screen
        self._suggested = False
        """Whether the conversation is nothing but an answer to a suggestion."""
        self._draws = 0
        self._prompt: PromptSession[str] = prompt_session(history=history, names=names, colour=screen.colour)

    def run(self) -> None:
        """Read and answer until the person leaves. Raises nothing that a person can mend: it is shown."""
        with _keys_unseen():
            self._greet()
            self._read_and_answer()

    def _read_and_answer(self) -> None:
        about_to_leave = False
        while not self._desk.done:
            try:
                text = self._prompt.prompt("> ")
            except EOFError:
                return
            except KeyboardInterrupt:
                empty = not self._prompt.default_buffer.text
                if empty and about_to_leave:
                    return
                about_to_leave = empty
                if empty:
                    self._screen.line(AGAIN, style="dim")
                continue
            about_to_leave = False
            self._take(text)

    def _greet(self) -> None:
        answering = self._desk.answering
        self._screen.line(answering.label, style="bold")
        for line in facts_of(answering):
            self._screen.say(f"  {line}", style="dim")
        warning = warning_of(answering)
        if warning:
            self._screen.line()
            self._screen.say(warning, style="yellow")
        self._offer()
        self._screen.line()
        self._screen.say(f"{sampling_line(self._desk.session.sampling)}. /help shows what you can do.", style="dim")
        self._screen.line()

    def _offer(self) -> None:
        offered = suggestions_of(self._desk.answering)
        if not offered:
            return
        self._screen.line()
        self._screen.say(f"It was trained on questions of this form. Type a number from 1 to {len(offered)} to try:")
        for number, suggestion in enumerate(offered, start=1):
            for place, line in enumerate(suggestion.question.rstrip("\n").split("\n")):
                self._screen.line(f"  {number if place == 0 else ' '}  {line}")

    def _take(self, text: str) -> None:
        suggestion = self._suggestion(text)
        try:
            if suggestion is not None:
                self._draw(suggestion)
            elif is_command(text):
                self._command(text)
            elif text.strip():
                self._suggested = False
                self._show(self._desk.session.answer(text))
        except UserError as error:
            self._screen.say(str(error), style="red")
            self._screen.line()
        except KeyboardInterrupt:  # while a model was opened, or between an answer's last piece and the prompt
            self._screen.line("Stopped.", style="dim")

    def _suggestion(self, text: str) -> Suggestion | None:
        """The suggestion of that number; where a conversation has begun, a number is a question like any other."""
        if self._desk.session.turns and not self._suggested:
            return None
        offered = {str(place): found for place, found in enumerate(suggestions_of(self._desk.answering), start=1)}
        return offered.get(text.strip())

    def _command(self, text: str) -> None:
        label = self._desk.answering.label
        with self._screen.waiting("…"):
            lines = run_command(text, self._desk)
        for line in lines:
            self._screen.say(line)
        if self._desk.answering.label != label:
            self._offer()
        if lines:
            self._screen.line()
        if self._desk.shown is not None:
            self._show_again(self._desk.shown)
            self._desk.shown = None
            self._suggested = False
        if self._desk.retry:
            self._desk.retry = False
            self._show(self._desk.session.retry())

    def _show_again(self, turn: Turn) -> None:
        for number, line in enumerate(turn.question.rstrip("\n").split("\n")):
            self._screen.line(f"{'  ' if number else '> '}{line}")
        painter = self._painter()
        painter.feed(turn.answer)
        painter.end()
        self._screen.line()

    def _painter(self) -> Painter:
        return Painter(self._screen, language="python" if writes_python(self._desk.answering) else None)

    def _show(self, pieces: Pieces) -> None:
        """Show an answer as it comes. Ctrl-C closes the stream, and with it the provider's work."""
        turns = self._desk.session.turns
        before = turns[-1] if turns else None
        painter = self._painter()
        try:
            with closing(pieces), self._screen.waiting("…") as waiting:
                for piece in pieces:
                    waiting.clear()
                    painter.feed(piece)
        except KeyboardInterrupt:
            pass
        finally:
            painter.end()
        if turns and turns[-1] is not before:
            context = self._desk.answering.provider.context_length
            self._screen.say(ending_line(turns[-1], context_length=context), style="dim")
        else:
            self._screen.line(UNCHANGED, style="dim")
        self._screen.line()

    def _draw(self, suggestion: Suggestion) -> None:
        self._suggested = True
        self._desk.file = None
        try:
            with self._screen.waiting("…") as waiting:
                drawn = draw(
                    self._desk.session,
                    suggestion,
                    tell=lambda number: waiting.show(f"draw {number} of at most {NUM_DRAWS} …"),
                    first_seed=self._draws,
                )
        except KeyboardInterrupt:
            self._desk.session.reset()
            self._screen.line("Stopped.", style="dim")
            return
        self._draws += drawn.num_draws
        painter = Painter(self._screen, language="python")
        painter.feed(suggestion.given + drawn.turn.answer)
        painter.end()
        verdict = "the first that Python's parser accepts" if drawn.works else "none that Python's parser accepts"
        drawing = f"draw {drawn.num_draws}, {verdict}" if drawn.works else f"{drawn.num_draws} draws, {verdict}"
        self._screen.say(f"[{drawing}; the first {_lines(suggestion.given)} given]", style="dim")
        self._screen.line()


def ending_line(turn: Turn, *, context_length: int | None = None) -> str:
    """How an answer ended and what it took, in one line."""
    if turn.ending == "interrupted":
        return "[stopped; what came is kept. /retry draws another answer, /undo takes it back]"
    words = []
    if turn.timing:
        speed = turn.timing.tokens_per_second
        usage = turn.timing.usage
        words += [f"{usage.completion_tokens:,} tokens"] if usage else []
        words.append(f"first after {turn.timing.first_piece_seconds:.1f} s")
        words += [f"{speed:.0f} tokens/s"] if speed else []
        if usage and context_length:
            words.append(f"context {usage.prompt_tokens + usage.completion_tokens:,} of {context_length:,}")
    if turn.ending == "length":
        words.append("cut off: max_tokens or the context is reached (/set max_tokens N)")
    if turn.ending == "refused":
        words.append("refused by the service")
    if turn.ending == "other":
        words.append("ended by the service for a reason of its own")
    if not turn.answer.strip():
        words.append("an empty answer")
    return f"[{'; '.join(words)}]"


def _lines(given: str) -> str:
    count = given.count("\n")
    return "line was" if count == 1 else f"{count} lines were"


@contextmanager
def _keys_unseen() -> Iterator[None]:
    """What is typed while an answer comes does not show up inside it; the next prompt takes it."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    # As the prompt itself reads: in the terminal's line mode an early Ctrl-D would be lost. Ctrl-C stays a signal.
    quiet = [before[0] & ~termios.ICRNL, *before[1:3], before[3] & ~(termios.ECHO | termios.ICANON), *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
