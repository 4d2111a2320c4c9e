"""What curated rows are like, on a terminal: before and after each rule, by source, by domain and language.

Knows `statistics.json`, not how it was measured.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demiurgic.core.errors import UserError
from demiurgic.curate.statistics.tally import AS_THEY_CAME, FILE

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = frozenset(
    (
        *("after", "rows", "tokens", "answer_tokens", "entropy_bits", "distinct", "vocabulary"),
        *("domains", "languages", "licenses"),
    )
)
"""What must stand in each state."""
MOST = 15
"""Names of one table."""


def read_statistics(folder: Path) -> Mapping[str, Any]:
    """The statistics beside a step's parts. Raises UserError when the step left none, or they cannot be read."""
    path = folder / FILE
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} has no {FILE}: only a curate step measures its rows.") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}). Delete the folder {folder} and run again.") from None
    if not has_states(found):
        raise UserError(f"{path} has no states as this version writes them. Delete the folder {folder} and run again.")
    return found


def has_states(found: object) -> bool:
    """Whether what a statistics file holds can be shown: another version may have written it."""
    match found:
        case {"states": [_, *_] as states, "sources": dict(), "parts": dict()}:
            return all(isinstance(state, dict) and state.keys() >= SHOWN for state in states)
        case _:
            return False


def print_statistics(folder: Path) -> None:
    """Print the statistics of a finished step's folder to stdout, as wide as the terminal.

    Raises UserError when there are none.
    """
    from rich.console import Console

    console = Console(highlight=False)
    for number, each in enumerate(tables(read_statistics(folder))):
        console.print(*([""] if number else []), each, sep="\n")


def tables(statistics: Mapping[str, Any]) -> "Iterator[Table]":
    """The tables, as rich prints them."""
    states = statistics["states"]
    head = ("after", "rows", "tokens, median", "95th", "entropy, bits", "distinct-1", "distinct-3")
    yield _table(
        head,
        (
            (
                state["after"], state["rows"], _round(state["tokens"]["p50"]), _round(state["tokens"]["p95"]),
                _float(state["entropy_bits"], 2), _float(state["distinct"]["1"]["share"], 4),
                _float(state["distinct"]["3"]["share"], 3),
            )
            for state in states
        ),
    )  # fmt: skip
    yield _table(
        ("source", "rows in", "rows kept", "tokens, median", "entropy, bits"),
        (
            (
                name, found[AS_THEY_CAME]["rows"], found["kept"]["rows"], _round(found["kept"]["tokens"]["p50"]),
                _float(found["kept"]["entropy_bits"], 2),
            )
            for name, found in statistics["sources"].items()
        ),
    )  # fmt: skip
    for field, what in (("domains", "domain"), ("languages", "language"), ("licenses", "licence")):
        yield _table((what, "rows in", "rows kept"), _named(states[0][field], states[-1][field]))
    growth = {point["words"]: point["distinct"] for point in states[-1]["vocabulary"]}
    came = {point["words"]: point["distinct"] for point in states[0]["vocabulary"]}
    yield _table(
        ("words drawn", "distinct, as they came", "distinct, kept"),
        ((f"{words:,}", came.get(words), growth.get(words)) for words in sorted({*growth, *came})),
    )


def _named(came: Mapping[str, int], kept: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    names = sorted(came, key=lambda name: (-came[name], name))
    yield from ((name, came[name], kept.get(name, 0)) for name in names[:MOST])
    rest = names[MOST:]
    if rest:
        yield f"{len(rest)} others", sum(came[name] for name in rest), sum(kept.get(name, 0) for name in rest)


def _table(head: Sequence[str], rows: Iterator[Sequence[Any]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for number, name in enumerate(head):
        table.add_column(Text(name), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _round(value: float | None) -> int | None:
    return None if value is None else round(value)


def _float(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"
