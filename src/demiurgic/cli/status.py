"""`demiurgic status`: the newest run of each recipe."""

from pathlib import Path

import click

from demiurgic.cli.options import json_option, print_json, print_table, store_option


@click.command("status")
@click.option("--verify", is_flag=True, help="Read every file in the store and compare its digest.")
@store_option
@json_option
def command(verify: bool, store: Path, as_json: bool) -> int:
    """Show the newest run of each recipe in the store; every row cites the ledger line behind it.

    \b
    Examples:
      demiurgic status
      demiurgic status --verify
    """
    from demiurgic.core.console import Console, duration, size
    from demiurgic.run.status import store_status
    from demiurgic.run.store import Store

    status = store_status(Store(store), verify=verify, console=Console(quiet=as_json))
    if as_json:
        recipes = {name: [step.to_json() for step in steps] for name, steps in status.recipes.items()}
        print_json({"recipes": recipes, "partials": list(status.partials), "problems": list(status.problems)})
        return 1 if status.problems else 0
    if not status.recipes:
        click.echo(f"{store} has no run yet. Start one with: demiurgic run")
    for recipe, steps in status.recipes.items():
        click.echo(f"recipe {recipe}")
        rows = [
            [
                step.step,
                step.last,
                duration(step.seconds),
                size(step.peak_memory_bytes) if step.peak_memory_bytes else "-",
                step.line,
                step.says,
            ]
            for step in steps
        ]
        print_table(["step", "last", "took", "peak", "ledger", ""], rows)
    for partial in status.partials:
        click.echo(f"interrupted: {partial}")
    for problem in status.problems:
        click.echo(f"problem: {problem}", err=True)
    if verify and not status.problems:
        click.echo("Every file in the store has the content that was written.")
    return 1 if status.problems else 0
