"""Rows and clusters on a terminal: a panel a row, duplicates beside the row that stayed, what differs in colour."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from demiurgic.report.rows.clusters import Cluster, changed_words, said_by
from demiurgic.report.rows.query import ShownRow

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.panel import Panel
    from rich.text import Text

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LONGEST = 1200
"""Characters of a row that are shown; `--json` has all."""
ROLE_STYLES = {"user": "bold cyan", "assistant": "bold green", "system": "bold magenta", "tool": "bold yellow"}


def print_rows(rows: Iterable[ShownRow]) -> int:
    """Print a panel per row, and how many there were; returns the number."""
    printer = _printer()
    number = 0
    for number, shown in enumerate(rows, start=1):  # noqa: B007
        printer.print(_panel(shown))
    return number


def print_clusters(clusters: Sequence[Cluster]) -> None:
    """Print each cluster: the row that stayed on the left, those that went for it on the right."""
    from rich.table import Table
    from rich.text import Text

    printer = _printer()
    for cluster in clusters:
        left = _said(cluster.kept) if cluster.kept else "(a row of an earlier dataset)"
        table = Table(title=_title(cluster), title_justify="left", expand=True, show_lines=True, title_style="bold")
        # As a Text: ids and sources may hold [ and ], which in a plain string are markup.
        table.add_column(Text(_place(cluster.witness, cluster.kept)), ratio=1, overflow="fold", style="")
        table.add_column("dropped", ratio=1, overflow="fold")
        for position, member in enumerate(cluster.members):
            text = _differing(cluster.kept, member) if cluster.kept else _said(member)
            table.add_row(left if not position else "", _member(member, text))
        printer.print(table)


def _printer() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


def _panel(shown: ShownRow) -> "Panel":
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    body: list[RenderableType] = []
    if shown.reason:
        body.append(Text(f"dropped: {shown.reason}", style="red"))
        body += [Text(line, style="dim") for line in _why(shown)]
    for tag in shown.tags:
        body.append(Text(_cut(f"would go: {tag.get('reason', '')} ({tag.get('evidence', '')})"), style="yellow"))
    body += [_said(shown), *_scores(shown)]
    names = [shown.part, shown.row.source, shown.row.domain, shown.row.license]
    return Panel(
        Group(*body),
        title=Text(shown.row.id),
        title_align="left",
        subtitle=Text(" · ".join(name for name in names if name)),
        subtitle_align="right",
        border_style="red" if shown.reason else "green",
    )


def _why(shown: ShownRow) -> list[str]:
    found = [_cut(shown.evidence)] if shown.evidence else []
    if "witness" in shown.dropped:
        similarity = shown.dropped.get("similarity")
        like = "" if similarity is None else f", Jaccard {similarity:.3f}"
        key = f" by {shown.dropped['key']}" if shown.dropped.get("key") else ""
        found.append(f"stayed in its place: {shown.dropped['witness']}{like}{key}")
    return found


def _scores(shown: ShownRow) -> "list[Text]":
    from rich.text import Text

    scores = ", ".join(f"{name} {value:.3g}" for name, value in shown.row.scores.items())
    return [Text(scores, style="dim")] if scores else []


def _said(shown: ShownRow) -> "Text":
    from rich.text import Text

    text = Text()
    for line in _cut(said_by(shown.row)).splitlines(keepends=True):
        role, colon, rest = line.partition(":")
        if colon and role in ROLE_STYLES:
            text.append(role + colon, style=ROLE_STYLES[role]).append(rest)
        else:
            text.append(line)
    return text


def _differing(kept: ShownRow, member: ShownRow) -> "Text":
    from rich.text import Text

    text = Text()
    for word, changed in changed_words(_cut(said_by(kept.row)), _cut(said_by(member.row))):
        text.append(word, style="bold red" if changed else "")
    return text


def _member(member: ShownRow, text: "Text") -> "Text":
    from rich.text import Text

    head = f"{member.row.id}  ({member.row.source})\n" + "".join(f"{line}\n" for line in [member.reason, *_why(member)])
    return Text(head, style="dim").append_text(Text("\n").append_text(text))


def _title(cluster: Cluster) -> str:
    shown = len(cluster.members)
    more = f", {shown} of them shown" if cluster.num_members > shown else ""
    return f"{cluster.num_members:,} {'row' if cluster.num_members == 1 else 'rows'} went for one{more}"


def _place(witness: str, kept: ShownRow | None) -> str:
    return f"stayed: {witness}" + (f" ({kept.part}, {kept.row.source})" if kept else "")


def _cut(text: str) -> str:
    # A row may hold what steers a terminal; it is shown and not obeyed.
    text = CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text) - LONGEST:,} more characters)"
