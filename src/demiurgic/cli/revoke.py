"""`demiurgic revoke`: mark a step, and everything made from it, as unusable."""

from pathlib import Path

import click

from demiurgic.cli.options import store_option


@click.command("revoke")
@click.argument("step")
@click.option("--why", help="The reason; shown wherever the step or anything made from it is asked for.")
@click.option("--undo", is_flag=True, help="Lift the mark again.")
@store_option
def command(step: str, why: str | None, undo: bool, store: Path) -> None:
    """Mark a finished step (by name, or the start of its key), and everything made from it, as unusable.

    \b
    Examples:
      demiurgic revoke raw --why "the licence forbids training"
      demiurgic revoke raw --undo
    """
    from demiurgic.core.errors import UserError
    from demiurgic.run.lineage import restore, revoke
    from demiurgic.run.store import Store

    if undo == (why is not None):
        raise UserError('revoke wants --why "REASON", or --undo.')
    held = Store(store)
    with held.locked():
        if undo:
            click.echo(f"{restore(held, step)} may be used again.")
            return
        affected = revoke(held, step, why=why or "")
    click.echo(f"Unusable from now on: {', '.join(affected)}.")
