"""What steps make and take: folders that say what they are.

A step's folder holds one sub-folder per part and `manifest.json`, written last. A part is in its ecosystem's own
format (a Hugging Face folder, Parquet, …), so other programs open it without this package.

A config field typed with one of these classes is a reference: in a recipe the name of an earlier step
(`clean.train`), from Python and `demiurgic do` a folder.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.hashing import digest_file, digest_files
from demiurgic.core.metric import JSON, Summary
from demiurgic.core.records import Row, count_rows, read_rows

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What is known of a file: its size and modification time (cheap to check) and its sha256 (exact)."""

    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """One named result of a step."""

    kind: str
    digest: str
    files: Mapping[str, FileStamp]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a finished step's folder says of itself.

    `inputs` maps config fields to the parts they read; `lineage` maps the keys of all ancestors to what they were;
    `took` holds what the making took and under which circumstances (seconds, memory, versions, device).
    """

    step: str
    stage: str
    version: int
    key: str
    config: JSON
    seed: int | None
    inputs: Mapping[str, JSON]
    parts: Mapping[str, Part]
    summary: Summary
    lineage: Mapping[str, JSON]
    took: Mapping[str, JSON]
    made: str

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Raises UserError when the file is missing or damaged."""
        path = folder / MANIFEST
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            parts = {
                name: Part(part["kind"], part["digest"], {f: FileStamp(**stamp) for f, stamp in part["files"].items()})
                for name, part in data.pop("parts").items()
            }
            return cls(**{**data, "parts": parts, "summary": Summary.from_json(data["summary"])})
        except FileNotFoundError:
            raise UserError(f"{folder} is not an artifact: it has no {MANIFEST}.") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is damaged ({error}). Delete the folder {folder} and run again.") from None

    def write(self, folder: Path) -> None:
        """Write `manifest.json`, whole or not at all."""
        parts = {
            name: {
                "kind": part.kind,
                "digest": part.digest,
                "files": {
                    path: {"size_bytes": f.size_bytes, "mtime_ns": f.mtime_ns, "sha256": f.sha256}
                    for path, f in part.files.items()
                },
            }
            for name, part in self.parts.items()
        }
        fields = {name: getattr(self, name) for name in ("step", "stage", "version", "key", "config", "seed", "made")}
        fields |= {"inputs": dict(self.inputs), "lineage": dict(self.lineage), "took": dict(self.took)}
        data = {**fields, "summary": self.summary.to_json(), "parts": parts}
        write_text(folder / MANIFEST, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def stamp_part(folder: Path, *, kind: str) -> Part:
    """Measure every file of a part's folder."""
    files: dict[str, FileStamp] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        stat = path.stat()
        files[path.relative_to(folder).as_posix()] = FileStamp(stat.st_size, stat.st_mtime_ns, digest_file(path))
    return Part(kind, digest_files((name, stamp.sha256) for name, stamp in files.items()), files)


def damage(folder: Path, part: Part, *, full: bool = False) -> str | None:
    """What is wrong with a part on disk, or None.

    Sizes and modification times are compared; a file whose time moved (a copied store) is read and its digest
    compared, and with `full` every file is.
    """
    for name, stamp in part.files.items():
        path = folder / name
        try:
            stat = path.stat()
        except FileNotFoundError:
            return f"{path} is missing"
        if stat.st_size != stamp.size_bytes:
            return f"{path} has {stat.st_size} bytes where {stamp.size_bytes} were written"
        if (full or stat.st_mtime_ns != stamp.mtime_ns) and digest_file(path) != stamp.sha256:
            return f"{path} does not have the content that was written"
    strangers = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - set(part.files)
    if strangers:
        return f"{folder / min(strangers)} was not written by the step"
    return None


Kinds = tuple["type[Artifact]", ...]
Resolve = Callable[[str, Kinds], Any]
"""Turns the text of a reference, to one of some kinds, into what the field holds; raises UserError. Given as validation
context "resolve"."""


@dataclass(frozen=True)
class Artifact:
    """A part of a finished step, on disk. The subclasses are the kinds."""

    path: Path
    """The part's own folder."""
    name: str
    """The part's name."""
    manifest: Manifest

    kind: ClassVar[str]

    @property
    def digest(self) -> str:
        return self.manifest.parts[self.name].digest

    @property
    def evidence(self) -> Path:
        """The step's folder: logs and other evidence beside the parts."""
        return self.path.parent

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open a part's folder, or a step's folder that has exactly one part of this kind.

        Raises UserError when there is no such part, or its files are damaged (full digests are compared).
        """
        found = open_artifact(Path(folder), (cls,))
        assert isinstance(found, cls)
        return found

    def verify(self) -> None:
        """Compare every file's digest; raises UserError naming the first that differs."""
        problem = damage(self.path, self.manifest.parts[self.name], full=True)
        if problem:
            raise UserError(f"{problem}. The artifact is corrupted: delete {self.evidence} and run again.")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        return _reference((cls,))


def open_artifact(folder: Path, kinds: Kinds) -> Artifact:
    """Open a part's folder, or a step's folder that has exactly one part of these kinds, as `Artifact.open` does."""
    by_name = {kind.kind: kind for kind in kinds}
    if (folder / MANIFEST).exists():
        manifest = Manifest.read(folder)
        wanted = [name for name, part in manifest.parts.items() if part.kind in by_name]
        if len(wanted) != 1:
            have = ", ".join(f"{name} ({part.kind})" for name, part in manifest.parts.items())
            raise UserError(f"{folder} holds {have}; wanted one {' or '.join(by_name)}. Name the part's folder.")
        folder /= wanted[0]
    else:
        manifest = Manifest.read(folder.parent) if (folder.parent / MANIFEST).exists() else Manifest.read(folder)
    part = manifest.parts.get(folder.name)
    if part is None or part.kind not in by_name:
        raise UserError(f"{folder} is {a_kind(part.kind) if part else 'no part'}; wanted {a_kind(*by_name)}.")
    artifact = by_name[part.kind](folder, folder.name, manifest)
    artifact.verify()
    return artifact


def a_kind(*names: str) -> str:
    """`a model or adapter`, `an adapter`."""
    return f"{'an' if names[0][0] in 'aeiou' else 'a'} {' or '.join(names)}"


def _reference(kinds: Kinds) -> CoreSchema:
    """A reference to any of these kinds."""

    def validate(value: Any, info: core_schema.ValidationInfo) -> Any:
        if isinstance(value, kinds):
            return value
        resolve: Resolve = (info.context or {}).get("resolve", _resolve_folder)
        if not isinstance(value, str | Path):
            found = {"wanted": a_kind(*(kind.kind for kind in kinds)), "value": repr(value)}
            raise PydanticCustomError("reference", "wants {wanted}, found {value}", found)
        try:
            return resolve(str(value), kinds)
        except UserError as error:
            raise PydanticCustomError("reference", "{reason}", {"reason": str(error)}) from None

    return core_schema.with_info_plain_validator_function(validate)


def _resolve_folder(text: str, kinds: Kinds) -> Artifact:
    return open_artifact(Path(text), kinds)


class _Either:
    """Reads a union of kinds as one reference, so that a mistake is answered once and names them all."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return _reference(get_args(source))


ArtifactT = TypeVar("ArtifactT", bound=Artifact)
Either = Annotated[ArtifactT, _Either()]
"""A reference to one of several kinds: `Either[Model | Adapter]`."""


class Dataset(Artifact):
    """Rows, in Parquet shards."""

    kind = "dataset"

    def rows(self) -> Iterator[Row]:
        return read_rows(self.path)

    @cached_property
    def num_rows(self) -> int:
        return count_rows(self.path)


class Fingerprints(Artifact):
    """What the rows of a curation said, as hashes: what later rows are compared with."""

    kind = "fingerprints"


class Tokens(Artifact):
    """Token ids packed into windows, with loss weights and document borders."""

    kind = "tokens"


class Tokenizer(Artifact):
    """A Hugging Face tokenizer folder."""

    kind = "tokenizer"


class Model(Artifact):
    """A Hugging Face model folder, with its tokenizer."""

    kind = "model"


class Adapter(Artifact):
    """A PEFT adapter folder, and `base.json`: what it was trained on."""

    kind = "adapter"


class Logits(Artifact):
    """What a teacher says of every supervised token of a tokens folder, on disk."""

    kind = "logits"


class LogProbabilities(Artifact):
    """What a teacher told of the tokens of its answers when it gave them, a row per answer."""

    kind = "logprobs"


class Gguf(Artifact):
    """One GGUF file, ready for llama.cpp and what is built on it."""

    kind = "gguf"

    @property
    def file(self) -> Path:
        """The file itself; a folder of this kind holds exactly one."""
        (found,) = self.path.glob("*.gguf")
        return found


class Scores(Artifact):
    """Results of an evaluation, a row per item."""

    kind = "scores"


KINDS: Mapping[str, type[Artifact]] = {
    kind.kind: kind
    for kind in (Dataset, Fingerprints, Tokens, Tokenizer, Model, Adapter, Logits, LogProbabilities, Gguf, Scores)
}
