"""`demiurgic gc`: what the store can spare."""

import sys
from pathlib import Path

import click

from demiurgic.cli.options import json_option, print_json, print_table, store_option


@click.command("gc")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@store_option
@json_option
def command(yes: bool, store: Path, as_json: bool) -> None:
    """List, then delete, interrupted steps and finished ones that no recipe, as last run, uses.

    With --json the list is printed and nothing is deleted unless --yes is given.

    \b
    Examples:
      demiurgic gc
      demiurgic gc --yes
    """
    from demiurgic.core.console import size
    from demiurgic.core.errors import UserError
    from demiurgic.run.garbage import collect_garbage, garbage
    from demiurgic.run.store import Store

    held = Store(store)
    found = garbage(held)
    if as_json:
        deleted = {item.folder for item in collect_garbage(held, found)} if yes and found else set()
        print_json(
            [
                {"folder": str(i.folder), "why": i.why, "size_bytes": i.size_bytes, "deleted": i.folder in deleted}
                for i in found
            ]
        )
        return
    if not found:
        click.echo("Nothing to delete.")
        return
    print_table(["folder", "size", "why"], [[item.folder.name, size(item.size_bytes), item.why] for item in found])
    if not yes and not sys.stdin.isatty():
        raise UserError("There is nobody to ask. To delete what is listed, give --yes.")
    if yes or click.confirm(f"Delete {size(sum(item.size_bytes for item in found))}?"):
        deleted_now = collect_garbage(held, found)
        click.echo(f"Deleted {len(deleted_now)} of {len(found)}.")
