"""One question, one answer, no terminal: the answer alone on stdout, everything else on stderr."""

import json
import sys
from contextlib import closing
from typing import TextIO

from demiurgic.chat.screen import harmless
from demiurgic.chat.session import Session
from demiurgic.chat.terminal import ending_line
from demiurgic.core.errors import UserError


def question_of(words: tuple[str, ...], *, stdin: TextIO | None) -> str:
    """The words, a line end, and the text on stdin exactly as it is; either may be missing. A closed stdin is None.

    Raises UserError when both are, or the text is not UTF-8.
    """
    asked = " ".join(words)
    text = ""
    if stdin is not None and not stdin.isatty():
        try:
            text = stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"The text on stdin is not UTF-8 (byte {error.start + 1}). Convert it first.") from None
    if not asked.strip() and not text.strip():
        raise UserError(
            "There is no question: stdin is empty and no words were given. "
            'Write it behind the model, or pipe it in: cat notes.txt | demiurgic chat MODEL "Sum this up:"'
        )
    return f"{asked}\n{text}" if asked and text else asked or text


def answer_once(session: Session, question: str, *, label: str, as_json: bool) -> int:
    """Answer and return the exit code: 0, or 130 after Ctrl-C.

    Raises what `Session.answer` raises, and BrokenPipeError when the reader of stdout is gone.
    """
    try:
        with closing(session.answer(question)) as pieces:
            for piece in pieces:
                if not as_json:
                    _write(piece)
    except KeyboardInterrupt:
        if not as_json and session.turns:
            _write("\n")
        print("Stopped.", file=sys.stderr)
        return 130
    turn = session.turns[-1]
    if as_json:
        _write(json.dumps(_json(session, label=label), ensure_ascii=False, indent=1) + "\n")
        return 0
    if not turn.answer.endswith("\n"):
        _write("\n")
    if turn.ending != "stop" or sys.stderr.isatty():
        print(ending_line(turn), file=sys.stderr)
    return 0


def _json(session: Session, *, label: str) -> dict[str, object]:
    turn = session.turns[-1]
    usage = turn.timing.usage if turn.timing else None
    return {
        "text": turn.answer,
        "finish": turn.ending,
        "usage": {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
        if usage
        else None,
        "seconds": round(turn.timing.seconds, 3) if turn.timing else None,
        "first_piece_seconds": round(turn.timing.first_piece_seconds, 3) if turn.timing else None,
        "model": label,
        "identity": dict(session.provider.identity),
    }


def _write(text: str) -> None:
    """Exactly, where a program or a file reads; made harmless where a person does."""
    sys.stdout.write(harmless(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
