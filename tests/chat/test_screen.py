import io

import pytest

from demiurgic.chat.painter import Painter
from demiurgic.chat.screen import Screen, harmless, wants_colour
from terminals import Screen as Grid
from terminals import Terminal

ANSWER = """\
# A heading

Some `code` in prose, and a list:
- `one`

```python
def hello(name):
    \"\"\"Says hello,
    over two lines.\"\"\"
    return f"hello {name}"  # a comment
```

~~~
plain ``` block
~~~
The end: 3 < 4 & [bold]not markup[/bold] :smile:"""


def shown(answer: str, *, size: int, colour: bool, language: str | None = None) -> tuple[str, str]:
    """The characters a terminal shows of an answer that comes in pieces of `size`, and the bytes it was sent."""
    file = io.StringIO()
    painter = Painter(Screen(file, colour=colour), language=language)
    for start in range(0, len(answer), size):
        painter.feed(answer[start : start + size])
    painter.end()
    return seen(file.getvalue()), file.getvalue()


def seen(sent: str) -> str:
    terminal = Terminal.__new__(Terminal)
    terminal.screen, terminal._pending = Grid(columns=100, rows=60), ""
    terminal._show(sent.replace("\n", "\r\n"))
    return terminal.text


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("colour", [True, False])
def test_every_character_of_an_answer_is_shown_whatever_pieces_it_comes_in(size, colour):
    assert shown(ANSWER, size=size, colour=colour)[0] == ANSWER


def test_code_is_coloured_and_a_string_over_two_lines_is_one():
    _, sent = shown(ANSWER, size=5, colour=True)
    lines = sent.split("\n")
    assert "\x1b[" in next(line for line in lines if "def" in line)
    first, second = (next(line for line in lines if words in line) for words in ("Says hello", "over two lines"))
    colour_of = lambda line, words: line[: line.index(words)].rpartition("\x1b[")[2].partition("m")[0]
    assert colour_of(second, "over") == colour_of(first, "Says")


def test_without_colour_nothing_but_the_text_is_sent():
    assert shown(ANSWER, size=3, colour=False)[1] == ANSWER + "\n"


def test_prose_is_not_held_back_until_its_line_is_whole():
    file = io.StringIO()
    Painter(Screen(file, colour=True)).feed("The beginning of a long")
    assert "The beginning of a long" in file.getvalue()


def test_bare_code_is_coloured_as_code():
    code = "    return 'x'\n    # done"
    text, sent = shown(code, size=4, colour=True, language="python")
    assert text == code
    assert "\x1b[" in sent


@pytest.mark.parametrize("language", [None, "python"])
@pytest.mark.parametrize("colour", [True, False])
def test_an_answer_cannot_steer_the_terminal(colour, language):
    evil = "a\x1b]0;owned\x07b\x1b[2J\x1b[31mc\x9b5nd\x08\x7f\re\u202ef\x00\n```py\n\x1b]0;owned\x07\n```\n"
    for size in (1, 3, len(evil)):
        text, sent = shown(evil, size=size, colour=colour, language=language)
        assert not any(character in sent for character in "\x07\x9b\x08\x7f\r\u202e\x00")
        assert "\x1b]" not in sent
        assert "\x1b[2J" not in sent
        assert text.startswith("a␛]0;owned␇b␛[2J␛[31mc�5nd␈␡")


def test_line_ends_of_another_system_are_line_ends():
    assert shown("one\r\ntwo\rthree", size=1, colour=False)[0] == "one\ntwo␍three"


def test_harmless_text_keeps_what_people_write():
    for text in ("tab\tand line\nend", "naïve 日本語 🙂 \u200d", "\x20~"):
        assert harmless(text) == text
    assert harmless("half a pair \ud83d") == "half a pair �"


def test_sentences_of_ours_break_between_words(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    file = io.StringIO()
    Screen(file, colour=False).say("  a sentence that is longer than the window is wide")
    Screen(file, colour=False).say("/set NAME    a line about it that is long")
    assert file.getvalue() == (
        "  a sentence that is longer\n  than the window is wide\n"
        "/set NAME    a line about it\n             that is long\n"
    )


class TerminalFile(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(monkeypatch, variables, wanted):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(TerminalFile()) is wanted
    assert not wants_colour(io.StringIO())
