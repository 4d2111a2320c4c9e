"""`demiurgic do`: one stage without a recipe."""

from pathlib import Path
from typing import Any

import click

from demiurgic.cli.options import (
    context_of,
    device_option,
    in_flight_option,
    journal_option,
    json_option,
    print_json,
    quiet_option,
    workers_option,
)


@click.command("do")
@click.argument("stage")
@click.argument("values", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to make; it must not exist.")
@click.option("--seed", default=0, show_default=True)
@workers_option
@in_flight_option
@journal_option
@device_option
@quiet_option
@json_option
def command(
    stage: str,
    values: tuple[str, ...],
    out: Path,
    seed: int,
    workers: int | None,
    in_flight: int,
    journal: Path | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run one stage without a recipe. Values are YAML; a reference is the folder of a finished step or part.

    \b
    Examples:
      demiurgic do collect source=python_stdlib --out rows
      demiurgic do curate data=rows 'split={by: module, held_out: 0.1}' --out clean
      demiurgic do tokenizer text=clean/train size=4096 --out words
    """
    from demiurgic import api
    from demiurgic.core.artifacts import Manifest
    from demiurgic.core.errors import UserError
    from demiurgic.report.steps import manifest_json, print_manifest
    from demiurgic.run.expand import set_place
    from demiurgic.run.yaml_lines import parse_value

    config: dict[str, Any] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals:
            raise UserError(f'"{value}" is not KEY=VALUE. Write, for example: source=python_stdlib')
        set_place(config, key.split("."), parse_value(text), what=value)
    context = context_of(
        workers=workers,
        device=device,
        quiet=quiet or as_json,
        base=Path.cwd(),
        in_flight=in_flight,
        journal=journal,
    )
    folder = api.run_stage(stage, config, out, seed=seed, context=context)
    if as_json:
        print_json(manifest_json(folder, Manifest.read(folder)))
    elif not quiet:
        print_manifest(folder, Manifest.read(folder))
