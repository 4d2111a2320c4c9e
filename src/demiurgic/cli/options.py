"""Options and outputs that several commands share."""

import json
from pathlib import Path
from typing import Any

import click

from demiurgic.core.console import Console
from demiurgic.run.context import Context
from demiurgic.run.engine import Engine

store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("store"),
    envvar="DEMIURGIC_STORE",
    show_default=True,
    show_envvar=True,
    help="The folder that holds everything made.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for a program to read.")
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="STEP.FIELD=VALUE",
    help="Change a value of the recipe for this run; recorded in the ledger. May be repeated.",
)
to_option = click.option("--to", metavar="STEP", help="Only this step and what it depends on.")
workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Worker processes for rows.  [default: all cores]"
)
in_flight_option = click.option(
    "--in-flight",
    type=click.IntRange(1),
    default=Context.requests_in_flight,
    show_default=True,
    metavar="N",
    help="Questions a provider is asked at once.",
)
journal_option = click.option(
    "--journal",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where providers' answers are kept.  [default: beside the folder that is made, FOLDER-journal.sqlite]",
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print results only.")


def context_of(
    *, workers: int | None, device: str, quiet: bool, base: Path, in_flight: int, journal: Path | None
) -> Context:
    return Context(
        engine=Engine(workers or 0),
        device=device,
        console=Console(quiet=quiet),
        base=base,
        requests_in_flight=in_flight,
        journal=journal,
    )


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Columns aligned by their widest cell; the last one is left to wrap by itself."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header) - 1)]
    for position, row in enumerate([header, *rows]):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        line = "  ".join([*cells, row[-1]]).rstrip()
        click.echo(click.style(line, bold=True) if position == 0 else line)
