"""Files of a repository of the Hugging Face hub, at one commit, into a folder. Knows nothing of what is in them.

What is sent: the names of repository and commit, and the token, if there is one, to the hub alone. What was downloaded
is held against the digests that the hub lists.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from demiurgic.core.console import Console, Progress, size
from demiurgic.core.errors import UserError
from demiurgic.core.hashing import digest_file
from demiurgic.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

HUB = "https://huggingface.co"
COMMIT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
HEADERS = {"user-agent": f"demiurgic/{__version__}"}
"""In place of the library's own, which tells of the machine."""
WORKERS = 4
Kind = Literal["model", "dataset"]
NOTES = ".cache"
"""Where the library notes, beside the files, how far it has come."""
USER = re.compile(r"(?<=//)[^/\s]+@")
"""A name and password in an address."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of models or of data, and the address of the hub that holds it."""

    name: str
    endpoint: str = HUB
    kind: Kind = "model"

    @classmethod
    def named(cls, name: str, *, kind: Kind = "model") -> "Repository":
        """Raises UserError for what is no name of a repository."""
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        wanted = "wanted owner/name, as in Qwen/Qwen3-0.6B"
        if not REPOSITORY.fullmatch(name):
            raise UserError(f"{name!r} is no repository of the hub; {wanted}.")
        try:
            validate_repo_id(name)
        except HFValidationError as error:
            reason = str(error).partition(":")[0].rstrip(".")
            raise UserError(f"{name!r} is no repository of the hub ({reason}); {wanted}.") from None
        return cls(name, hub_endpoint(), kind)

    @property
    def shown(self) -> str:
        """The endpoint without the name and password that an address may hold."""
        return without_user(self.endpoint)

    @property
    def page(self) -> str:
        return f"{self.shown}/{'datasets/' if self.kind == 'dataset' else ''}{self.name}"


def hub_endpoint() -> str:
    """Where the hub is: `HF_ENDPOINT`, as for every program of the ecosystem."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB


def without_user(text: str) -> str:
    """A text, an address among them, without names and passwords in addresses."""
    return USER.sub("", text)


def require_commit(repository: Repository, revision: str | None) -> str:
    """The revision, if it is a full commit.

    Raises UserError for anything else, since branches and tags move; the message says which commit it is now.
    """
    if revision and COMMIT.fullmatch(revision):
        return revision
    named = f"revision {revision!r} can move" if revision else "no revision is given"
    with plain_errors(repository, revision=revision or "main"):
        now = _info(repository, revision or "main").sha
    raise UserError(
        f"{repository.name}: {named}; wanted the full commit of 40 hex digits, so that every run brings in the same "
        f"files. It is now: revision: {now}"
    )


def list_files(repository: Repository, *, revision: str) -> "Mapping[str, RepoFile]":
    """The files of a commit by path, of a model those at its root.

    Raises UserError when the hub refuses or does not answer.
    """
    from huggingface_hub.hf_api import RepoFile

    api = _api(repository)
    with plain_errors(repository, revision=revision):
        # Asked once, where the listing would try for half a minute.
        _info(repository, revision)
        deep = repository.kind == "dataset"
        tree = api.list_repo_tree(repository.name, revision=revision, repo_type=repository.kind, recursive=deep)
        return {file.path: file for file in tree if isinstance(file, RepoFile)}


def download(
    repository: Repository, wanted: "Sequence[RepoFile]", *, revision: str, folder: Path, console: Console
) -> None:
    """Bring files of a commit into `folder`; what an earlier try left there whole is kept.

    Raises UserError when the hub refuses or does not answer, when the disk has no room, and for a file that is not what
    the hub lists.
    """
    from huggingface_hub import snapshot_download

    with plain_errors(repository, revision=revision):
        total = sum(file.size for file in wanted)
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_small_disk(folder, needed=sum(file.size for file in wanted if not (folder / file.path).is_file()))
        console.say(f"  {repository.name} at {revision[:12]}: {len(wanted)} files, {size(total)}")
        with console.progress(f"downloading {repository.name}", total) as progress:
            snapshot_download(
                repository.name,
                repo_type=repository.kind,
                revision=revision,
                local_dir=folder,
                allow_patterns=[_literally(file.path) for file in wanted],
                endpoint=repository.endpoint,
                headers=HEADERS,
                max_workers=WORKERS,
                tqdm_class=_bar_of(progress),
            )
    for file in wanted:
        _refuse_other_content(folder / file.path, file)


def keep_only(folder: Path, names: Collection[str]) -> None:
    """Remove all else from a folder: what was put beside a download is not the commit's."""
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        if path.name in names:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def plain_errors(repository: Repository, *, revision: str) -> Iterator[None]:
    """Turn what the hub's library raises into a UserError that says what to do."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
        XetDownloadError,
    )

    try:
        yield
    except GatedRepoError:
        raise UserError(
            f"{repository.name} is gated. Accept its terms at {repository.page} with your account, then set HF_TOKEN "
            f"to a token of that account ({repository.shown}/settings/tokens) and run again."
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"The hub has no repository {repository.name}, or it is private. Check the name at {repository.page}; for "
            "a private one set HF_TOKEN to a token that may read it."
        ) from None
    except RevisionNotFoundError:
        raise UserError(
            f"{repository.name} has no revision {revision}. Take a commit from {repository.page}/commits/main."
        ) from None
    except HfHubHTTPError as error:
        raise UserError(_refused(error, repository)) from None
    except (HTTPError, OfflineModeIsEnabled, LocalEntryNotFoundError, XetDownloadError) as error:
        raise UserError(_unreachable(error, repository)) from None
    except OSError as error:
        if error.errno is not None:  # the disk's own
            raise
        raise UserError(_unreachable(error, repository)) from None


def _refused(error: Any, repository: Repository) -> str:
    code = error.response.status_code
    advice = {
        401: "The token in HF_TOKEN is not valid: make a new one, or unset it for a public repository.",
        403: "The token in HF_TOKEN may not read it: give the token that right.",
        429: "Too many requests: wait a few minutes and run again.",
    }.get(code, "Run again later; whole files that were downloaded are kept.")
    return f"The hub refused {repository.name} with the status {code}. {advice}"


def _unreachable(error: Exception, repository: Repository) -> str:
    reason = without_user(" ".join(str(error).split()))[:200] or type(error).__name__
    return (
        f"The hub at {repository.shown} does not answer ({reason}). Whole files that were downloaded are kept: "
        "check the connection and run again, or download the repository elsewhere and give its folder."
    )


def _api(repository: Repository) -> "HfApi":
    from huggingface_hub import HfApi

    return HfApi(endpoint=repository.endpoint, headers=HEADERS)


def _info(repository: Repository, revision: str) -> Any:
    return _api(repository).repo_info(repository.name, revision=revision, repo_type=repository.kind)


def _refuse_small_disk(folder: Path, *, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{size(needed)} are to be downloaded and the disk that holds {folder} has {size(free)} free. Free some "
            "space (`demiurgic gc` lists what this store can spare), then run again."
        )


def _refuse_other_content(path: Path, file: "RepoFile") -> None:
    """Large files are listed by their sha256, others by git's own digest of a blob."""
    if not path.is_file():
        raise UserError(f"{path} was not downloaded. Run again.")
    if file.lfs is not None:
        same = digest_file(path) == file.lfs.sha256
    else:
        content = path.read_bytes()
        same = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.blob_id
    if not same:
        path.unlink()
        raise UserError(f"{path} is not what the hub lists for it, and was deleted. Run again to download it anew.")


def _literally(name: str) -> str:
    """A pattern that matches this name alone."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _bar_of(progress: Progress) -> Any:
    """A stand-in for the library's bars that passes the bytes written on to ours."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # Two bars count bytes, as received and as written, and one counts files.
            self._tells = kwargs.get("unit") == "B" and "Reconstructing" in kwargs.get("desc", "")
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            if self._tells and n:
                progress.advance(n)

    return Bar
