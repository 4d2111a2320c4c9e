"""`demiurgic revoke`: mark a step, and everything made from it, as unusable."""

from pathlib import Path

import click

from demiurgic.cli.options import json_option, print_json, store_option


@click.command("revoke")
@click.argument("step")
@click.option("--why", help="The reason; shown wherever the step or anything made from it is asked for.")
@click.option("--undo", is_flag=True, help="Lift the mark again.")
@store_option
@json_option
def command(step: str, why: str | None, undo: bool, store: Path, as_json: bool) -> None:
    """Mark a finished step (by name, or the start of its key), and everything made from it, as unusable.

    \b
    Examples:
      demiurgic revoke raw --why "the licence forbids training"
      demiurgic revoke raw --undo
    """
    from demiurgic.core.errors import UserError
    from demiurgic.run.lineage import restore, revoke
    from demiurgic.run.step import full_disk_is_a_users_matter
    from demiurgic.run.store import Store

    if undo == (why is not None):
        raise UserError('revoke wants --why "REASON", or --undo.')
    held = Store(store)
    if not store.is_dir():
        raise UserError(f"There is no store {store}. Name one with --store.")
    with full_disk_is_a_users_matter(store), held.locked():
        affected = [restore(held, step)] if undo else revoke(held, step, why=why or "")
    if as_json:
        print_json({"restored" if undo else "revoked": affected})
    else:
        click.echo(f"{'May be used again' if undo else 'Unusable from now on'}: {', '.join(affected)}.")
