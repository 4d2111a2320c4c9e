"""What a person sees on a terminal while a bar is drawn."""

import sys

from demiurgic.core.console import moment, now
from terminals import Terminal

PROGRAM = """
import sys
from demiurgic.core.console import Console
console = Console()
with console.progress("train[seed=1]", 10) as bar:
    bar.advance()
    console.say("  step 1 of 10 · [warm] 45 % · forward_kl 0.9")
    bar.show("loss 1.0000 · [warm] 45 % [/end]")
    sys.stdin.readline()
console.say("over")
"""


def test_lines_stand_above_the_bar_and_brackets_are_letters_in_both():
    with Terminal([sys.executable, "-c", PROGRAM], columns=120) as terminal:
        shown = terminal.wait_for("loss 1.0000 · [warm] 45 % [/end]")
        assert shown.index("step 1 of 10 · [warm] 45 % · forward_kl 0.9") < shown.index("train[seed=1]")
        terminal.send("\r")
        assert terminal.wait_until_it_ends() == 0
        assert "step 1 of 10 · [warm] 45 % · forward_kl 0.9" in terminal.text


def test_a_moment_is_written_as_the_ledger_writes_it():
    assert moment(0.9) == "1970-01-01T00:00:00Z"
    assert len(now()) == len(moment(0))
