"""`demiurgic do`: one stage without a recipe."""

from pathlib import Path
from typing import Any

import click

from demiurgic.cli.options import (
    context_of,
    how_options,
    json_option,
    print_json,
)


@click.command("do")
@click.argument("stage")
@click.argument("values", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to make; it must not exist.")
@click.option("--seed", default=0, show_default=True)
@how_options
@json_option
def command(
    stage: str,
    values: tuple[str, ...],
    out: Path,
    seed: int,
    quiet: bool,
    as_json: bool,
    **how: Any,
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
    context = context_of(**how, quiet=quiet or as_json, base=Path.cwd())
    folder = api.run_stage(stage, config, out, seed=seed, context=context)
    if as_json:
        print_json(manifest_json(folder, Manifest.read(folder)))
    elif not quiet:
        print_manifest(folder, Manifest.read(folder))
