"""`demiurgic show`: a finished step, its rows, or a shape."""

import json
from itertools import islice
from pathlib import Path

import click

from demiurgic.cli.options import json_option, print_json, store_option


@click.command("show")
@click.argument("what")
@click.argument("name", required=False)
@click.option("--rows", type=click.IntRange(1), help="Show this many rows of a dataset.")
@click.option("--part", help="Which part's rows, where a step made several datasets.")
@store_option
@json_option
def command(what: str, name: str | None, rows: int | None, part: str | None, store: Path, as_json: bool) -> None:
    """Show a finished step (by name, or the start of its key), or `shape NAME`.

    \b
    Examples:
      demiurgic show student
      demiurgic show clean --rows 3 --part dropped
      demiurgic show shape 7b
    """
    if what == "shape":
        _show_shape(name, as_json=as_json)
        return
    if name is not None:
        raise click.UsageError(f'found a second name "{name}"; only `show shape NAME` takes one')
    from demiurgic.core.artifacts import Dataset, Manifest
    from demiurgic.core.errors import UserError
    from demiurgic.report.steps import manifest_json, print_manifest
    from demiurgic.run.lineage import revocation, revoked_keys
    from demiurgic.run.store import Store

    folder = Store(store).named(what)
    manifest = Manifest.read(folder)
    revoked = revocation(manifest, revoked_keys(Store(store).ledger))
    if rows is None:
        if as_json:
            print_json({**manifest_json(folder, manifest), "revoked": revoked})
        else:
            print_manifest(folder, manifest)
    if revoked and not as_json:
        click.echo(f"Unusable: {revoked}", err=True)
    if rows is None:
        return
    datasets = [part for part, made in manifest.parts.items() if made.kind == Dataset.kind]
    if not datasets or (part and part not in datasets):
        raise UserError(f"{manifest.step} has the datasets: {', '.join(datasets) or 'none'}. Name one with --part.")
    shown = [row.to_json() for row in islice(Dataset.open(folder / (part or datasets[0])).rows(), rows)]
    if as_json:
        print_json(shown)
        return
    for row in shown:
        click.echo(json.dumps(row, ensure_ascii=False, indent=1))


def _show_shape(name: str | None, *, as_json: bool) -> None:
    from demiurgic.models.shapes import describe
    from demiurgic.report.shapes import print_shape

    if name is None:
        raise click.UsageError("show shape wants a name, such as 7b; `demiurgic list shapes` prints them")
    described = describe(name)
    if as_json:
        print_json(described)
    else:
        print_shape(described)
