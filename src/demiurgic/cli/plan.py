"""`demiurgic plan`: what a run would do."""

from dataclasses import asdict
from pathlib import Path

import click

from demiurgic.cli.options import (
    json_option,
    preset_option,
    print_json,
    print_table,
    set_option,
    store_option,
    to_option,
)


@click.command("plan")
@click.argument("recipe", default="stdlib")
@to_option
@preset_option
@set_option
@store_option
@json_option
def command(
    recipe: str, to: str | None, preset: str | None, overrides: tuple[str, ...], store: Path, as_json: bool
) -> None:
    """Say what a run would do with each step, why, and on what it depends. Nothing is run or written.

    \b
    Examples:
      demiurgic plan
      demiurgic plan my.yaml --set student.learning_rate=1e-3
      demiurgic plan qwen_7b --preset 80gb
    """
    from demiurgic import api

    plan = api.plan(api.load_recipe(recipe, overrides=overrides, preset=preset), store=store, to=to)
    if as_json:
        print_json({"steps": [asdict(step) for step in plan.steps], "warnings": list(plan.warnings)})
        return
    rows = [[step.step, step.action, ", ".join(step.depends_on) or "-", step.why] for step in plan.steps]
    print_table(["step", "would", "depends on", "why"], rows)
    for warning in plan.warnings:
        click.echo(f"Warning: {warning}", err=True)
