"""`demiurgic report`: one offline HTML page on what a store holds."""

from pathlib import Path

import click

from demiurgic.cli.options import store_option


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
    from demiurgic import api
    from demiurgic.report.page.evidence import read_evidence
    from demiurgic.report.page.headline import verdict_line
    from demiurgic.report.page.page import write_page
    from demiurgic.run.store import Store

    loaded = api.load_recipe(recipe) if recipe is not None else None
    evidence = read_evidence(Store(store), recipe=loaded)
    write_page(evidence, out=out)
    click.echo(out)
    click.echo(verdict_line(evidence))
    if open_page:
        click.launch(str(out.resolve()))
