"""Puts rows before the filters, batch by batch and in any process. Knows nothing of duplicates or splits."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from demiurgic.core.metric import JSON
from demiurgic.core.records import Row
from demiurgic.core.registry import Choice
from demiurgic.curate.filters import FILTERS, Drop
from demiurgic.run.engine import Engine, batches

BATCH = 1024
WORTH_PROCESSES = 50_000
"""Rows from which processes pay: starting two takes about a second, filtering this many about four (on two cores)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A row and why it goes (`length: answer too short`); `drop` is None when it stays."""

    row: Row
    drop: Drop | None


def judge(rows: Iterable[Row], *, filters: Sequence[Choice], engine: Engine, num_rows: int) -> Iterator[Judged]:
    """Each row with the verdict of the first filter that drops it, in order; `num_rows` is how many there will be."""
    # By name and options: a Choice holds functions and classes that no other process could be sent.
    named = [{"use": choice.name, **choice.options.model_dump(mode="json")} for choice in filters]
    # Rows go to the other process and stay here too: only verdicts come back.
    sent: deque[Sequence[Row]] = deque()

    def sending() -> Iterator[Sequence[Row]]:
        for batch in batches(rows, BATCH):
            sent.append(batch)
            yield batch

    work = partial(verdicts, filters=named)
    for drops in engine.map(work, sending(), worth_processes=num_rows > WORTH_PROCESSES):
        yield from (Judged(row, drop) for row, drop in zip(sent.popleft(), drops, strict=True))


def verdicts(rows: Sequence[Row], *, filters: Sequence[dict[str, JSON]]) -> list[Drop | None]:
    """Why each row goes, None for those that stay; filters are given as a recipe names them."""
    choices = [FILTERS.choose(chosen) for chosen in filters]
    return [_first_drop(row, choices) for row in rows]


def _first_drop(row: Row, choices: Sequence[Choice]) -> Drop | None:
    for choice in choices:
        verdict = choice(row)
        if isinstance(verdict, Drop):
            return Drop(f"{choice.name}: {verdict.reason}", verdict.evidence)
    return None
