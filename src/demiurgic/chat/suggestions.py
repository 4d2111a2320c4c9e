"""Three things that a student of the standard library's code can do, to try at the first prompt.

Each is a question in exactly the form of its training rows (collect's source python_stdlib), short enough for a model
of a few million parameters. Such a model repeats itself when it always takes the likeliest token, so a suggestion is
drawn at a low temperature, one seed after the other, until Python's own parser accepts it. The answer is text: it is
parsed, never run.
"""

from collections import deque
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass

from demiurgic.chat.session import Session, Turn
from demiurgic.providers.base import Sampling
from demiurgic.verify.python_syntax import parses

NUM_DRAWS = 16
TEMPERATURE = 0.5
MAX_TOKENS = 96


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A question whose answer goes on from `given`; `kind` is what its training rows call it."""

    kind: str
    task: str
    given: str

    @property
    def question(self) -> str:
        return f"{self.task}\n{self.given}"

    def works(self, turn: Turn) -> bool:
        """Whether the model ended its answer by itself, said something, and `given` + answer is Python."""
        return turn.ending == "stop" and bool(turn.answer.strip()) and parses(self.given + turn.answer)


SUGGESTIONS = (
    Suggestion("complete", "Complete this Python function:", "def is_closed(self):\n"),
    Suggestion(
        "complete",
        "Complete this Python function:",
        "def is_valid(value):\n    if value is None:\n        return False\n",
    ),
    Suggestion(
        "write",
        "Write the body of this Python function:",
        'def is_empty(self):\n    """Return True if the queue is empty, False otherwise."""\n',
    ),
)
"""Chosen because they parse often: in 57, 60 and 48 of 96 single draws by six students of the recipe stdlib, so
in practice within NUM_DRAWS. What other questions do is not said by that."""


def suggestions_for(kinds: Collection[str]) -> tuple[Suggestion, ...]:
    """Those whose form a model was trained on."""
    return tuple(suggestion for suggestion in SUGGESTIONS if suggestion.kind in kinds)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The answer that was kept (the session's last turn), out of how many, and whether it works."""

    turn: Turn
    num_draws: int
    works: bool


def draw(session: Session, suggestion: Suggestion, *, tell: Callable[[int], None], first_seed: int = 0) -> Drawn:
    """Ask a new conversation until an answer works, at most NUM_DRAWS times; `tell` hears the number of each draw.

    Raises what `Session.answer` raises. An interruption leaves what the last draw had written.
    """
    session.reset()
    for number in range(1, NUM_DRAWS + 1):
        tell(number)
        sampling = Sampling(max_tokens=MAX_TOKENS, temperature=TEMPERATURE, seed=first_seed + number)
        with closing(session.answer(suggestion.question, sampling=sampling)) as pieces:
            deque(pieces, maxlen=0)
        if suggestion.works(session.turns[-1]):
            return Drawn(session.turns[-1], number, works=True)
        if number < NUM_DRAWS:
            session.undo()
    return Drawn(session.turns[-1], NUM_DRAWS, works=False)
