"""`demiurgic run`: a recipe, from where it stands to the results table."""

from pathlib import Path

import click

from demiurgic.cli.options import (
    context_of,
    device_option,
    in_flight_option,
    journal_option,
    json_option,
    print_json,
    quiet_option,
    set_option,
    store_option,
    to_option,
    workers_option,
)


@click.command("run")
@click.argument("recipe", default="stdlib")
@to_option
@set_option
@store_option
@workers_option
@in_flight_option
@journal_option
@device_option
@quiet_option
@json_option
def command(
    recipe: str,
    to: str | None,
    overrides: tuple[str, ...],
    store: Path,
    workers: int | None,
    in_flight: int,
    journal: Path | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run a recipe: make what is not there, reuse what is.

    RECIPE is a .yaml file or the name of one that comes with the package.

    \b
    Examples:
      demiurgic run
      demiurgic run my.yaml --to student
      demiurgic run stdlib --set student.steps=100 --set seed=3 --store /tmp/try
    """
    from demiurgic import api
    from demiurgic.report.steps import outcomes_json, print_outcomes

    loaded = api.load_recipe(recipe, overrides=overrides)
    context = context_of(
        workers=workers,
        device=device,
        quiet=quiet or as_json,
        base=loaded.path.parent,
        in_flight=in_flight,
        journal=journal,
    )
    outcomes = api.run_recipe(loaded, store=store, to=to, context=context)
    if as_json:
        print_json(outcomes_json(outcomes))
    else:
        print_outcomes(outcomes, store=store)
    return 0 if all(outcome.status in ("made", "reused") for outcome in outcomes) else 1
