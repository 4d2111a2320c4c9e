"""Rows of a dataset of the hub at one commit, read as they are downloaded. What `hub` and `public` share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from demiurgic.collect.hub import (
    COMMIT,
    HUB,
    Repository,
    download,
    hub_endpoint,
    list_files,
    require_commit,
    without_user,
)
from demiurgic.collect.hub_files import CARD, by_patterns, by_split
from demiurgic.collect.remote_file import open_remote
from demiurgic.collect.sources import BadRow
from demiurgic.collect.to_rows import Reading
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.core.files.readers import Readable, read_opened, read_records
from demiurgic.core.metric import JSON
from demiurgic.core.optional import require
from demiurgic.core.records import Row

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

    from demiurgic.core.files.records import Malformed, Record


@dataclass(frozen=True)
class Wanted:
    """Which part of which dataset: files by name or pattern, or a split (of a config)."""

    id: str
    revision: str | None
    files: Sequence[str] = ()
    config: str | None = None
    split: str = "train"
    max_rows: int | None = None
    copy_to: Path | None = None
    """A folder that whole copies of the files are kept in; None keeps none."""

    def __post_init__(self) -> None:
        if self.files and self.config is not None:
            raise UserError("files and config are both given. Leave one away: files are named, or those of a config.")


def commit_print(revision: str | None) -> dict[str, JSON]:
    """What of a dataset enters a key beside the options: a commit says the rest. Asks no network."""
    hub = without_user(hub_endpoint())
    facts: dict[str, JSON] = {"commit": revision}
    return facts if hub == HUB else {**facts, "hub": hub}


def hub_rows(wanted: Wanted, reading: Reading) -> Iterator[Row | BadRow]:
    """The rows of what is wanted.

    Raises UserError when the revision is no full commit, when the hub refuses or does not answer, or has no such files.
    """
    require("huggingface_hub")
    repository = Repository.named(wanted.id, kind="dataset")
    revision = _commit(repository, wanted.revision)
    files = list_files(repository, revision=revision)
    names = _chosen(wanted, files, partial(_card, repository, files, revision=revision))
    rows = _rows(repository, [files[name] for name in names], wanted, reading, revision=revision)
    return rows if wanted.max_rows is None else islice(rows, wanted.max_rows)


def _commit(repository: Repository, revision: str | None) -> str:
    """Without one, and without a hub to ask, the message says how to find it."""
    if revision and COMMIT.fullmatch(revision):
        return revision
    try:
        return require_commit(repository, revision)
    except UserError as error:
        if "It is now" in str(error):
            raise
        raise UserError(
            f"{repository.name}: wanted the full commit of 40 hex digits as revision. {error} This line prints the "
            f"present one: git ls-remote {repository.page} HEAD"
        ) from None


def _chosen(wanted: Wanted, files: "Mapping[str, RepoFile]", card: Callable[[], str]) -> list[str]:
    names = sorted(files)
    if wanted.files:
        return by_patterns(names, wanted.files, where=wanted.id)
    return by_split(names, card(), config=wanted.config, split=wanted.split, where=wanted.id)


def _card(repository: Repository, files: "Mapping[str, RepoFile]", *, revision: str) -> str:
    if CARD not in files:
        return ""
    with open_remote(repository, files[CARD], revision=revision) as file:
        return file.read().decode("utf-8", "replace").replace("\r\n", "\n")


def _rows(
    repository: Repository, files: "Sequence[RepoFile]", wanted: Wanted, reading: Reading, *, revision: str
) -> Iterator[Row | BadRow]:
    given_ids: set[str] = set()
    for file in files:
        shown = f"{repository.name}/{file.path}"
        if not file.size:
            raise UserError(f"{shown} is empty. Leave it out: name the files.")
        if wanted.copy_to is None:
            records = read_opened(Readable(shown, partial(open_remote, repository, file, revision=revision)))
        else:
            records = _from_copy(repository, file, wanted.copy_to, revision=revision)
        yield from reading.rows(records, file=file.path, shown=shown, given_ids=given_ids)


def _from_copy(
    repository: Repository, file: "RepoFile", folder: Path, *, revision: str
) -> "Iterator[Record | Malformed]":
    download(repository, [file], revision=revision, folder=folder, console=Console(quiet=True))
    return read_records(folder / file.path)
