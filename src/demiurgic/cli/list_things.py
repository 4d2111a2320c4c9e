"""`demiurgic list`: everything that can be named in a recipe."""

import shutil
import textwrap

import click

from demiurgic.cli.options import json_option, print_json


@click.command("list")
@click.argument("what", required=False)
@json_option
def command(what: str | None, as_json: bool) -> None:
    """List what can be named: stages, losses, filters, sources, formats, suites, shapes, kinds.

    \b
    Examples:
      demiurgic list
      demiurgic list losses
    """
    from demiurgic.catalogue import catalogue
    from demiurgic.core.errors import UserError, unknown

    sections = catalogue()
    if what is not None and what not in sections:
        raise UserError(unknown("list", what, sections))
    chosen = {what: sections[what]} if what else sections
    if as_json:
        print_json({plural: {thing.name: thing.to_json() for thing in things} for plural, things in chosen.items()})
        return
    for position, (plural, things) in enumerate(chosen.items()):
        click.echo(("\n" if position else "") + click.style(plural, bold=True))
        width = max(len(thing.name) for thing in things)
        for thing in things:
            _print_entry(thing.name.ljust(width), thing.line)
            if thing.options:
                _print_entry(" " * width, f"takes {', '.join(thing.options)}")
        if plural == "losses":
            _print_matrix()
        if plural == "sources":
            _print_public_sets()


def _print_entry(name: str, text: str) -> None:
    width = max(shutil.get_terminal_size().columns, 60)
    click.echo(textwrap.fill(text, width, initial_indent=f"  {name}  ", subsequent_indent=" " * (len(name) + 4)))


def _print_public_sets() -> None:
    """What the source `public` knows by name."""
    from demiurgic.collect.public_sets import PUBLIC_SETS

    click.echo("\n" + click.style("public sets, as in {use: public, set: NAME, revision: COMMIT}", bold=True))
    rows = [("set", "rows", "licence", "format", "on the hub")]
    rows += [(name, f"{s.num_rows:,}", s.license, s.format, s.id) for name, s in PUBLIC_SETS.items()]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row, known in zip(rows, [None, *PUBLIC_SETS.values()], strict=True):
        cells = [
            cell.rjust(w) if at == 1 else cell.ljust(w) for at, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  " + "  ".join(cells).rstrip())
        if known is not None:
            _print_entry(" " * widths[0], f"{known.line} {known.caveats}")


def _print_matrix() -> None:
    """Which loss can be computed from which teacher signal."""
    from demiurgic.train.matrix import MEANINGS, table

    click.echo("\n" + click.style("losses by teacher signal", bold=True))
    rows = table()
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    width = max(len(word) for word in MEANINGS)
    for word, meaning in MEANINGS.items():
        _print_entry(word.ljust(width), meaning)
