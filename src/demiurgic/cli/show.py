"""`demiurgic show`: a finished step, its rows, or a shape."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from demiurgic.cli.options import json_option, print_json, store_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demiurgic.core.artifacts import Dataset
    from demiurgic.report.rows.query import Query

SHOWN_ROWS = 10


@click.command("show")
@click.argument("what")
@click.argument("name", required=False)
@click.option(
    "--rows", is_flag=False, flag_value=SHOWN_ROWS, type=click.IntRange(1), help="Show rows of its datasets (10)."
)
@click.option("--part", help="Only rows of this part, such as train or dropped.")
@click.option("--source", default="", help="Only rows whose source has this in its name.")
@click.option("--reason", default="", help="Only rows that went, or would have gone, for a reason with this in it.")
@click.option("--contains", default="", help="Only rows that say this.")
@click.option("--where", multiple=True, metavar="BOUND", help='Only rows whose score fits: --where "quality<0.4".')
@click.option("--statistics", is_flag=True, help="Show lengths, domains, languages and words, before and after rules.")
@click.option("--clusters", is_flag=True, help="Show dropped duplicates beside the row that stayed.")
@store_option
@json_option
def command(
    what: str,
    name: str | None,
    rows: int | None,
    part: str | None,
    source: str,
    reason: str,
    contains: str,
    where: tuple[str, ...],
    statistics: bool,
    clusters: bool,
    store: Path,
    as_json: bool,
) -> None:
    """Show a finished step (by name, or the start of its key), its rows, or `shape NAME`.

    \b
    Examples:
      demiurgic show student
      demiurgic show clean --rows
      demiurgic show clean --rows 3 --reason duplicate --source alpaca
      demiurgic show clean --clusters
      demiurgic show clean --statistics
      demiurgic show clean --part train --where "quality<0.5"
      demiurgic show shape 7b
    """
    if what == "shape":
        _show_shape(name, as_json=as_json)
        return
    if name is not None:
        raise click.UsageError(f'found a second name "{name}"; only `show shape NAME` takes one')
    from demiurgic.core.artifacts import Manifest
    from demiurgic.report.steps import manifest_json, print_manifest
    from demiurgic.run.lineage import revocation, revoked_keys
    from demiurgic.run.store import Store

    folder = Store(store).named(what)
    manifest = Manifest.read(folder)
    revoked = revocation(manifest, revoked_keys(Store(store).ledger))
    look_at_rows = rows is not None or clusters or any((part, source, reason, contains, where))
    if statistics and look_at_rows:
        raise click.UsageError("--statistics is of the whole step and shows no rows; ask for one of the two")
    if statistics:
        _show_statistics(folder, as_json=as_json)
        return
    if not look_at_rows:
        if as_json:
            print_json({**manifest_json(folder, manifest), "revoked": revoked})
        else:
            print_manifest(folder, manifest)
    if revoked and not as_json:
        click.echo(f"Unusable: {revoked}", err=True)
    if not look_at_rows:
        return
    from demiurgic.report.rows.query import Bound, Query, datasets_of

    if clusters and part:
        raise click.UsageError("--clusters shows rows of all parts; leave --part out")
    datasets = datasets_of(folder, manifest, part=part)
    query = Query(source, reason, contains, tuple(map(Bound.read, where)))
    show = _show_clusters if clusters else _show_rows
    show(datasets, query, limit=rows or SHOWN_ROWS, as_json=as_json)


def _show_statistics(folder: Path, *, as_json: bool) -> None:
    from demiurgic.report.statistics import print_statistics, read_statistics

    if as_json:
        print_json(read_statistics(folder))
    else:
        print_statistics(folder)


def _show_rows(datasets: "Mapping[str, Dataset]", query: "Query", *, limit: int, as_json: bool) -> None:
    from demiurgic.report.rows.query import find_rows, plain
    from demiurgic.report.rows.terminal import print_rows

    found = islice(find_rows(datasets, query), limit)
    if as_json:
        print_json([{"part": shown.part, **plain(shown.row)} for shown in found])
    elif not print_rows(found):
        click.echo(f"No row fits, of {sum(dataset.num_rows for dataset in datasets.values()):,}.")


def _show_clusters(datasets: "Mapping[str, Dataset]", query: "Query", *, limit: int, as_json: bool) -> None:
    from demiurgic.report.rows.clusters import find_clusters
    from demiurgic.report.rows.query import plain
    from demiurgic.report.rows.terminal import print_clusters

    clusters = find_clusters(datasets, query, limit=limit)
    if as_json:
        print_json(
            [
                {
                    "witness": cluster.witness,
                    "rows": cluster.num_members,
                    "kept": plain(cluster.kept.row) if cluster.kept else None,
                    "members": [plain(member.row) for member in cluster.members],
                }
                for cluster in clusters
            ]
        )
        return
    print_clusters(clusters)
    if not clusters:
        click.echo("No dropped row names another that stayed in its place.")


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
