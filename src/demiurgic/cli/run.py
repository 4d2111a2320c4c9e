"""`demiurgic run`: a recipe, from where it stands to the results table."""

from pathlib import Path
from typing import Any

import click

from demiurgic.cli.options import (
    context_of,
    how_options,
    json_option,
    preset_option,
    print_json,
    set_option,
    store_option,
    to_option,
)


@click.command("run")
@click.argument("recipe", default="stdlib")
@to_option
@preset_option
@set_option
@store_option
@how_options
@json_option
def command(
    recipe: str,
    to: str | None,
    preset: str | None,
    overrides: tuple[str, ...],
    store: Path,
    quiet: bool,
    as_json: bool,
    **how: Any,
) -> int:
    """Run a recipe: make what is not there, reuse what is.

    RECIPE is a .yaml file or the name of one that comes with the package.

    \b
    Examples:
      demiurgic run
      demiurgic run my.yaml --to student
      demiurgic run qwen_7b --preset 80gb
      demiurgic run my.yaml --processes 4 --strategy fsdp2
      demiurgic run stdlib --set student.steps=100 --set seed=3 --store /tmp/try
    """
    from demiurgic import api
    from demiurgic.report.steps import outcomes_json, print_outcomes

    loaded = api.load_recipe(recipe, overrides=overrides, preset=preset)
    context = context_of(**how, quiet=quiet or as_json, base=loaded.path.parent)
    outcomes = api.run_recipe(loaded, store=store, to=to, context=context)
    if as_json:
        print_json(outcomes_json(outcomes))
    else:
        print_outcomes(outcomes, store=store)
    return 0 if all(outcome.status in ("made", "reused") for outcome in outcomes) else 1
