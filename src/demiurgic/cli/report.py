"""`demiurgic report`: one offline HTML page on what a store holds."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from demiurgic.cli.options import store_option

if TYPE_CHECKING:
    from demiurgic.run.recipe import Recipe
    from demiurgic.run.store import Store


@click.command("report")
@click.argument("recipe", required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="The file to write.",
)
@click.option("--open", "open_page", is_flag=True, help="Show the page in the browser.")
@store_option
def command(recipe: str | None, out: Path, open_page: bool, store: Path) -> None:
    """Write one HTML page on the newest run of RECIPE, or of every recipe in the store.

    The page needs no network: results with intervals, curves, sizes, rows by reason, and every step with its evidence.

    \b
    Examples:
      demiurgic report
      demiurgic report stdlib --out stdlib.html --open
    """
    from demiurgic.report.page.evidence import read_evidence
    from demiurgic.report.page.headline import verdict_line
    from demiurgic.report.page.page import write_page
    from demiurgic.run.store import Store

    loaded = _as_it_ran(recipe, Store(store)) if recipe is not None else None
    evidence = read_evidence(Store(store), recipe=loaded)
    write_page(evidence, out=out)
    click.echo(out)
    click.echo(verdict_line(evidence))
    if open_page:
        click.launch(str(out.resolve()))


def _as_it_ran(name: str, store: "Store") -> "Recipe":
    """The recipe with the changes (--set) of its newest run; as it is where it does not take them any more."""
    from demiurgic import api
    from demiurgic.core.errors import UserError
    from demiurgic.report.page.evidence import newest_overrides

    recipe = api.load_recipe(name)
    try:
        return api.load_recipe(name, overrides=newest_overrides(store, recipe.name))
    except UserError:  # the page then says of what that run left out that it had other values
        return recipe
