"""`demiurgic diagnose`: what is wrong with a training, and a corrected recipe."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from demiurgic.cli.options import json_option, preset_option, print_json, set_option, store_option

if TYPE_CHECKING:
    from demiurgic.diagnose.correct import Correction
    from demiurgic.diagnose.finding import Diagnosis
    from demiurgic.diagnose.place import Found
    from demiurgic.run.store import Store


@click.command("diagnose")
@click.argument("run")
@click.option("--step", metavar="STEP", help="RUN is a recipe, and this one of its steps is meant.")
@click.option(
    "--recipe",
    metavar="RECIPE",
    help="The recipe that made RUN.  [default: looked for here, beside the store, and among those of the package]",
)
@click.option(
    "--fix",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The corrected recipe to write; never the recipe itself.  [default: RECIPE.fixed.yaml, here]",
)
@preset_option
@set_option
@store_option
@json_option
def command(
    run: str,
    step: str | None,
    recipe: str | None,
    fix: Path | None,
    preset: str | None,
    overrides: tuple[str, ...],
    store: Path,
    as_json: bool,
) -> int:
    """Name what is wrong with a training, with the figures, and write a corrected recipe.

    RUN is a step of the store (its name, or the start of its key), the folder of a training, finished or not, or a
    recipe with --step. The exit code is 1 where something is wrong, 0 where nothing is, or it is only doubtful.

    \b
    Examples:
      demiurgic diagnose student
      demiurgic diagnose my.yaml --step student --fix better.yaml
      demiurgic diagnose qwen_7b --step student --preset 40gb
      demiurgic diagnose store/student-3f2a9c1d0e4b5a67.partial --json
    """
    from demiurgic.core.errors import UserError
    from demiurgic.diagnose.show import as_json as to_json
    from demiurgic.diagnose.show import as_text
    from demiurgic.diagnose.table import diagnose
    from demiurgic.run.store import Store

    found = _found(run, step=step, recipe=recipe, preset=preset, overrides=overrides, store=Store(store))
    diagnosis = diagnose(found.training)
    if not as_json:
        click.echo(as_text(diagnosis, found.training))
        for note in found.notes:
            click.echo(f"Note: {note}.")
    correction, written, refused = None, None, None
    try:
        correction, written = _corrected(found, diagnosis, fix)
    except UserError as error:  # the diagnosis stands, whatever becomes of the correction
        refused = error
    if as_json:
        told: dict[str, Any] = {"fixed": str(written) if written else None, "diff": correction and correction.diff}
        told["by_hand"] = list(correction.by_hand) if correction else []
        told["refused"] = str(refused) if refused else None
        print_json({**to_json(diagnosis, found.training), "notes": list(found.notes), **told})
    elif correction is not None:
        _show(correction, written, found)
    if refused is not None:
        raise refused
    return 1 if diagnosis.wrong else 0


def _found(
    run: str, *, step: str | None, recipe: str | None, preset: str | None, overrides: tuple[str, ...], store: "Store"
) -> "Found":
    from demiurgic import api
    from demiurgic.core.errors import UserError
    from demiurgic.diagnose.place import find_run, find_step
    from demiurgic.stages import STAGES

    if step is not None:
        if recipe is not None:
            raise UserError("With --step, RUN is the recipe; leave --recipe away.")
        return find_step(api.load_recipe(run, overrides=overrides, preset=preset), step, store=store)
    if overrides or preset is not None:
        option = "--set" if overrides else "--preset"
        raise UserError(f"{option} changes a recipe: give RUN as a recipe, with --step STEP.")
    if run.endswith((".yaml", ".yml")):
        raise UserError(f"{run} is a recipe. Say which of its steps is meant: --step STEP.")
    files = [api.find_recipe(recipe)] if recipe is not None else list(_recipes(store))
    return find_run(run, store=store, stages=STAGES, recipes=files)


def _recipes(store: "Store") -> Iterator[Path]:
    """Files that may be the recipe of a run in this store."""
    from demiurgic import api
    from demiurgic.core.errors import UserError

    for folder in dict.fromkeys([Path.cwd(), store.path.absolute().parent]):
        yield from sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    for name in sorted({str(line["recipe"]) for line in store.ledger.lines() if "recipe" in line}):
        try:
            yield api.find_recipe(name)
        except UserError:  # a recipe of one's own that lies elsewhere
            continue


def _corrected(found: "Found", diagnosis: "Diagnosis", fix: Path | None) -> "tuple[Correction | None, Path | None]":
    """The correction, and the file it was written to: none where no recipe is known, or nothing is to be changed."""
    from demiurgic.core.errors import UserError
    from demiurgic.diagnose.correct import corrected_config, corrected_recipe, default_file, write_correction
    from demiurgic.stages import STAGES

    changes, training = diagnosis.changes(), found.training
    if fix is not None and found.recipe is None:
        raise UserError(f"The recipe of {training.name} is not known, so there is none to correct. Name it: --recipe.")
    if not changes:
        return None, None
    if found.recipe is None or found.step is None:
        return corrected_config(training.name, training.settings, changes), None
    correction = corrected_recipe(found.recipe, found.step, changes)
    if not correction.diff:
        return correction, None
    out = fix or default_file(found.recipe)
    write_correction(correction, found.recipe, out, stages=STAGES)
    return correction, out


def _show(correction: "Correction", written: Path | None, found: "Found") -> None:
    click.echo()
    for line in correction.diff.splitlines():
        colour = {"+": "green", "-": "red"}.get(line[:1]) if not line.startswith(("+++", "---")) else None
        click.echo(click.style(line, fg=colour))
    for change in correction.by_hand:
        click.echo(f"To change by hand: {change}")
    if written is None:
        if found.recipe is None:
            click.echo("The recipe is not known, so this is the step's config; name the recipe with --recipe.")
        return
    click.echo(f"Written: {written}    (see: demiurgic plan {written})")
    assert found.recipe is not None
    if found.recipe.path.absolute().parent != written.absolute().parent:
        click.echo(f"Relative paths in it start from its own folder; the recipe lies in {found.recipe.path.parent}.")
