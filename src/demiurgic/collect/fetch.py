"""The stage `fetch`: an existing model or adapter, from the hub at one commit or from a folder, checked and pinned."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from demiurgic.collect.foreign_adapter import check_adapter
from demiurgic.collect.hub import (
    HUB,
    NOTES,
    Repository,
    download,
    hub_endpoint,
    keep_only,
    list_files,
    require_commit,
    without_user,
)
from demiurgic.collect.pretrained_files import Kind, copy_files, file_digests, license_of, wanted_files
from demiurgic.core.artifacts import Adapter, Artifact, Model
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.models.architectures import check_description, check_folder
from demiurgic.models.lora import hub_origin
from demiurgic.models.tokenizer import tokenizer_digest
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig


class FetchConfig(StageConfig):
    hub: str | None = None
    """A repository of the Hugging Face hub: `owner/name`."""
    revision: str | None = None
    """The full commit, 40 hex digits: branches and tags move."""
    folder: Path | None = None
    """A Hugging Face folder, in place of a repository."""
    kind: Kind = "model"
    base: Model | None = Field(None)
    """For an adapter: the model it is for."""
    precision: Literal["nf4"] | None = None
    """For an adapter from elsewhere: that its base was quantized to 4 bits while it was trained. Else it is taken to
    have been what it is stored in."""
    _digests: dict[Path, dict[str, str]] = PrivateAttr(default_factory=dict)
    """What the key was computed from, by folder."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.hub is None) == (self.folder is None):
            raise ValueError("wants one of hub and folder" + ("" if self.hub is None else ", not both"))
        if self.revision is not None and self.hub is None:
            raise ValueError("revision goes with hub: a folder has none")
        if self.base is not None and self.kind != "adapter":
            raise ValueError("base goes with kind: adapter")
        if self.precision is not None and self.base is None:
            raise ValueError("precision goes with kind: adapter and a base: it says how that base was held in training")
        return self

    def key_facts(self, base: Path) -> dict[str, JSON]:
        """The digests of a folder's files; a commit says as much of a repository, and of another hub its address.

        For an adapter also the hub's name of its base, which is written beside it.
        """
        origin = hub_origin(self.base) if isinstance(self.base, Model) else None  # a reference, or none
        named: dict[str, JSON] = {"base_origin": [*origin]} if origin else {}
        if self.folder is None:
            hub = without_user(hub_endpoint())
            return named if hub == HUB else {**named, "hub": hub}
        digests = file_digests(base / self.folder, kind=self.kind)
        self._digests[base / self.folder] = digests
        return {**named, "files": {**digests}}

    def refuse_other_files(self, folder: Path, copied: Mapping[str, str]) -> None:
        """Raises UserError when `copied` are not the digests of a folder's files that the key was computed from."""
        keyed = self._digests.get(folder, copied)
        if keyed != copied:
            changed = sorted(dict(keyed.items() ^ copied.items()))
            raise UserError(
                f"{folder} was changed while it was brought in ({', '.join(changed)}). Run again when it is whole."
            )


def run(config: FetchConfig, out: Path, context: Context) -> Summary:
    """Bring in an existing model or adapter: from the Hugging Face hub at one commit, or from a folder."""
    folder = out / config.kind
    if config.hub is not None:
        _from_hub(config.hub, config, folder, context)
    elif config.folder is not None:
        source = context.base / config.folder
        config.refuse_other_files(source, copy_files(source, folder, kind=config.kind, console=context.console))
    found = _adapter(folder, config) if config.kind == "adapter" else _model(folder, config)
    num_bytes = sum(path.stat().st_size for path in folder.iterdir())
    facts: dict[str, JSON] = {
        "source": config.hub or str(config.folder),
        "revision": config.revision,
        "hub": without_user(hub_endpoint()) if config.hub else None,
        "license": license_of(folder),
    }
    return Summary({"file_bytes": Metric.exact(num_bytes), **found.metrics}, facts | dict(found.facts))


def _from_hub(name: str, config: FetchConfig, folder: Path, context: Context) -> None:
    repository = Repository.named(name)
    commit = require_commit(repository, config.revision)
    files = list_files(repository, revision=commit)
    wanted = wanted_files(sorted(files), kind=config.kind, where=name)
    weights = [file for file in wanted if file.endswith(".safetensors")]
    fetch = partial(download, repository, revision=commit, folder=folder, console=context.console)
    keep_only(folder, {*wanted, NOTES})
    fetch([files[file] for file in wanted if file not in weights])
    if config.kind == "model":
        with _naming_the_repository(config):
            check_description(folder)  # to know before gigabytes are downloaded
    fetch([files[file] for file in weights])
    keep_only(folder, wanted)


@contextmanager
def _naming_the_repository(config: FetchConfig) -> Iterator[None]:
    """What is wrong with a commit is not mended in the store, where it lies half fetched."""
    try:
        yield
    except UserError as error:
        if config.hub is None:
            raise
        raise UserError(
            f"{config.hub} cannot be brought in as it is. {error} What is to be changed is changed in a download of "
            "the repository, fetched with folder in place of hub."
        ) from None


def _model(folder: Path, config: FetchConfig) -> Summary:
    with _naming_the_repository(config):
        found = check_folder(folder)
    numbers = {
        "parameters": found.num_parameters,
        "vocab_size": found.vocab_size,
        "tokenizer_size": found.tokenizer_size,
        "context": found.context,
    }
    return Summary(
        {name: Metric.exact(value) for name, value in numbers.items()},
        {
            "architecture": found.architecture.name,
            "dtype": found.precision,
            "sliding_window": found.sliding_window,
            "dialect": found.dialect,
            "tokenizer_digest": tokenizer_digest(folder),
        },
    )


def _adapter(folder: Path, config: FetchConfig) -> Summary:
    return Summary({}, check_adapter(folder, base=config.base, precision=config.precision))


def _makes(config: FetchConfig) -> Mapping[str, type[Artifact]]:
    return {"adapter": Adapter} if config.kind == "adapter" else {"model": Model}


STAGE = Stage(
    "fetch",
    FetchConfig,
    run,
    makes=_makes,
    resumable=True,
    needs=("huggingface_hub", "safetensors", "torch", "transformers"),
)
