"""Duplicates side by side: each row that stayed with the rows that went because they are like it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from demiurgic.core.artifacts import Dataset
from demiurgic.report.rows.query import DROPPED, Query, ShownRow, find_rows, rows_by_id

if TYPE_CHECKING:
    from demiurgic.core.records import Row


@dataclass(frozen=True, slots=True)
class Cluster:
    """A row that stayed, and rows that went for it: `num_members` in all, of which `members` are some.

    `kept` is None where that row lies in an earlier dataset, known here only by its id `witness`.
    """

    witness: str
    kept: ShownRow | None
    members: Sequence[ShownRow]
    num_members: int


def find_clusters(
    datasets: Mapping[str, Dataset], query: Query, *, limit: int, members: int = 3, scan: int | None = None
) -> list[Cluster]:
    """The `limit` largest clusters among the dropped rows that fit the query, each with at most so many `members`.

    `scan` is how many of the dropped rows that fit are looked at, None for all.
    """
    dropped = {DROPPED: datasets[DROPPED]} if DROPPED in datasets else datasets
    counts: Counter[str] = Counter()
    some: dict[str, list[ShownRow]] = {}
    for shown in islice(find_rows(dropped, query), scan):
        witness = shown.dropped.get("witness")
        if not isinstance(witness, str):
            continue
        counts[witness] += 1
        if counts[witness] <= members:
            some.setdefault(witness, []).append(shown)
    largest = sorted(counts, key=lambda witness: (-counts[witness], witness))[:limit]
    # A dropped row may have the id of one that stayed.
    stayed = {part: dataset for part, dataset in datasets.items() if part != DROPPED}
    kept = rows_by_id(stayed, set(largest))
    return [Cluster(witness, kept.get(witness), some[witness], counts[witness]) for witness in largest]


def changed_words(kept: str, other: str) -> list[tuple[str, bool]]:
    """The words of `other` in order, each with whether it is not where `kept` has it. Spaces are words of their own."""
    import difflib
    import re

    before, after = (re.findall(r"\s+|[^\s]+", text) for text in (kept, other))
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    same = {place for _, start, size in matcher.get_matching_blocks() for place in range(start, start + size)}
    return [(word, place not in same and not word.isspace()) for place, word in enumerate(after)]


def said_by(row: "Row") -> str:
    """All that a row says, a line before each turn naming who speaks."""
    if row.text is not None:
        return row.text
    turns = []
    for message in row.messages:
        calls = "".join(f"\n{call.name}({call.arguments})" for call in message.tool_calls)
        turns.append(f"{message.role}: {message.content}{calls}")
    return "\n".join(turns)
