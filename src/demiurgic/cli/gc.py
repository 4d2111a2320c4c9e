"""`demiurgic gc`: what the store can spare."""

from pathlib import Path

import click

from demiurgic.cli.options import json_option, print_json, print_table, store_option


@click.command("gc")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@store_option
@json_option
def command(yes: bool, store: Path, as_json: bool) -> None:
    """List, then delete, interrupted steps and finished ones that the newest run of no recipe uses.

    With --json the list is printed and nothing is deleted unless --yes is given.

    \b
    Examples:
      demiurgic gc
      demiurgic gc --yes
    """
    from demiurgic.core.console import size
    from demiurgic.run.garbage import collect_garbage, garbage
    from demiurgic.run.store import Store

    found = garbage(Store(store))
    if as_json:
        listed = [{"folder": str(item.folder), "why": item.why, "size_bytes": item.size_bytes} for item in found]
        print_json({"garbage": listed, "deleted": yes})
    elif not found:
        click.echo("Nothing to delete.")
    else:
        print_table(["folder", "size", "why"], [[item.folder.name, size(item.size_bytes), item.why] for item in found])
    if found and (yes or (not as_json and click.confirm(f"Delete {size(sum(i.size_bytes for i in found))}?"))):
        collect_garbage(Store(store), found)
