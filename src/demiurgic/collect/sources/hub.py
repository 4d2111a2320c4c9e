"""A dataset of the Hugging Face hub at one commit, read as it is downloaded."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import PositiveInt

from demiurgic.collect.columns import Columns
from demiurgic.collect.hub_rows import Wanted, commit_print, hub_rows
from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.collect.to_rows import FormatOption, Reading, format_versions
from demiurgic.core.metric import JSON
from demiurgic.core.records import Row


def _fingerprint(base: Path, *, revision: str | None, format: FormatOption, **_options: object) -> JSON:
    del base
    return commit_print(revision) | {"formats": format_versions(format)}


@SOURCES.register("hub", fingerprint=_fingerprint)
def hub(
    base: Path,
    *,
    id: str,
    revision: str | None = None,
    files: tuple[str, ...] = (),
    config: str | None = None,
    split: str = "train",
    format: FormatOption = "auto",
    columns: Columns | None = None,
    keep: tuple[str, ...] = (),
    max_rows: PositiveInt | None = None,
    name: str = "",
    license: str = "",
    domain: str = "",
    teacher: str = "",
    copy_to: str | None = None,
) -> Iterator[Row | BadRow]:
    """A dataset of the hub by `id` at the commit `revision`, streamed: nothing is kept on the disk but the rows.

    `files` names files or patterns; without, those of `split` (and `config`) as the dataset's card says. Rows after
    `max_rows` are not read. `copy_to` names a folder for whole copies of the files, checked by their digests. The rest
    is as for `files`; the rows' source is `id` where `name` is empty.
    """
    if columns is not None and format == "auto":
        format = None
    wanted = Wanted(id, revision, files, config, split, max_rows, copy_to=base / copy_to if copy_to else None)
    reading = Reading(format, columns, keep, name=name or id, license=license, domain=domain, teacher=teacher)
    yield from hub_rows(wanted, reading)
