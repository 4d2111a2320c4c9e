"""A known public set by its name: the source `hub` with the id, files, format, licence and domain filled in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from demiurgic.collect.formats import FORMATS
from demiurgic.collect.hub_rows import Wanted, commit_print, hub_rows
from demiurgic.collect.public_sets import PUBLIC_SETS
from demiurgic.collect.sources import SOURCES, BadRow
from demiurgic.collect.to_rows import Reading
from demiurgic.core.metric import JSON
from demiurgic.core.records import Row

SetName = Literal[
    "alpaca", "alpaca_gpt4", "code_alpaca", "dolly", "gsm8k", "hh_rlhf", "metamath", "openorca", "sharegpt", "wizardlm",
    "xlam",
]  # fmt: skip


def _fingerprint(base: Path, *, set: SetName, revision: str | None, **_options: object) -> JSON:
    del base
    chosen = PUBLIC_SETS[set]
    return commit_print(revision) | {
        "id": chosen.id,
        "files": [*chosen.files],
        "config": chosen.config,
        "format": FORMATS.choose(chosen.format).to_json(),
        "stands_in": [chosen.license, chosen.domain, chosen.teacher],
    }


@SOURCES.register("public", fingerprint=_fingerprint)
def public(
    base: Path,
    *,
    set: SetName,
    revision: str | None = None,
    files: tuple[str, ...] = (),
    max_rows: PositiveInt | None = None,
    copy_to: str | None = None,
) -> Iterator[Row | BadRow]:
    """A known public set at one commit of the hub: its files, format, licence and domain are known here.

    The set's name is the rows' source. `files` are read in place of those that belong to the set.
    """
    chosen = PUBLIC_SETS[set]
    folder = base / copy_to if copy_to else None
    config = None if files else chosen.config
    wanted = Wanted(chosen.id, revision, files or chosen.files, config, "train", max_rows, folder)
    reading = Reading(
        FORMATS.choose(chosen.format),
        name=set,
        license=chosen.license,
        domain=chosen.domain,
        teacher=chosen.teacher,
    )
    yield from hub_rows(wanted, reading)
