"""The stage `fetch`: an existing model or adapter, from the hub at one commit or from a folder, checked and pinned."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from demiurgic.collect.foreign_adapter import check_adapter
from demiurgic.collect.hub import Repository, download, forget_progress, require_commit
from demiurgic.collect.pretrained_files import Kind, copy_files, file_digests, license_of, wanted_files
from demiurgic.core.artifacts import Adapter, Artifact, Model
from demiurgic.core.metric import JSON, Metric, Summary
from demiurgic.models.architectures import check_config, check_folder
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

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.hub is None) == (self.folder is None):
            raise ValueError("wants one of hub and folder" + ("" if self.hub is None else ", not both"))
        if self.revision is not None and self.hub is None:
            raise ValueError("revision goes with hub: a folder has none")
        if self.base is not None and self.kind != "adapter":
            raise ValueError("base goes with kind: adapter")
        return self

    def key_facts(self, base: Path) -> dict[str, JSON]:
        """The digests of a folder's files; a commit says as much of a repository."""
        if self.folder is None:
            return {}
        return {"files": {**file_digests(base / self.folder, kind=self.kind)}}


def run(config: FetchConfig, out: Path, context: Context) -> Summary:
    """Bring in an existing model or adapter: from the Hugging Face hub at one commit, or from a folder."""
    folder = out / config.kind
    if config.hub is not None:
        _from_hub(config.hub, config, folder, context)
    elif config.folder is not None:
        copy_files(context.base / config.folder, folder, kind=config.kind, console=context.console)
    num_bytes = sum(path.stat().st_size for path in folder.iterdir())
    found = _adapter(folder, config.base) if config.kind == "adapter" else _model(folder)
    facts: dict[str, JSON] = {
        "source": config.hub or str(config.folder),
        "revision": config.revision,
        "license": license_of(folder),
    }
    return Summary({"file_bytes": Metric.exact(num_bytes), **found.metrics}, facts | dict(found.facts))


def _from_hub(name: str, config: FetchConfig, folder: Path, context: Context) -> None:
    repository = Repository.named(name)
    commit = require_commit(repository, config.revision)

    def all_files(names: Sequence[str]) -> list[str]:
        return wanted_files(names, kind=config.kind, where=name)

    def configs(names: Sequence[str]) -> list[str]:
        return [file for file in all_files(names) if file.endswith("config.json")]

    fetch = partial(download, repository, revision=commit, folder=folder, console=context.console)
    if config.kind == "model":
        fetch(select=configs)  # to know before gigabytes are downloaded
        check_config(folder)
    fetch(select=all_files)
    forget_progress(folder)


def _model(folder: Path) -> Summary:
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


def _adapter(folder: Path, base: Model | None) -> Summary:
    return Summary({}, check_adapter(folder, base=base))


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
