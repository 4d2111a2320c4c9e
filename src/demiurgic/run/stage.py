"""A stage: one pure function with a typed config. The closed set of them is the table in `demiurgic/stages.py`."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from demiurgic.core.artifacts import Artifact, ArtifactT
from demiurgic.core.metric import JSON, Summary
from demiurgic.core.registry import Choice
from demiurgic.run.context import Context


class _OnlySpeed:
    """The mark of a field that changes speed or memory, and the result by rounding at most (and by which masks dropout
    draws).
    """


ONLY_SPEED = _OnlySpeed()
"""`Annotated[int, ONLY_SPEED]`: a field that a recipe may set and that does not enter the key. What was made with one
value is reused with another."""


class StageConfig(BaseModel):
    """What to make. Every field enters the key of the step, but those marked `ONLY_SPEED`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, protected_namespaces=(), allow_inf_nan=False
    )

    def key_facts(self, base: Path) -> dict[str, JSON]:
        """What the result depends on of the inputs beside their content; enters the key. Called when they are there.

        `base` is the folder that relative paths start from.
        """
        del base
        return {}


Config = TypeVar("Config", bound=StageConfig)


@dataclass(frozen=True)
class Stage(Generic[Config]):
    """One row of the table.

    `run(config, out, context)` writes each part into `out / part` (and evidence beside them), and returns the summary.
    It may read only what its config names. `makes` maps part names to kinds, or is a function of the config where the
    kind depends on it.
    """

    name: str
    config: type[Config]
    run: Callable[[Config, Path, Context], Summary]
    makes: Mapping[str, type[Artifact]] | Callable[[Config], Mapping[str, type[Artifact]]]
    version: int = 1
    """Enters the key: raise it when the same config and inputs give another output."""
    uses_seed: bool | Callable[[Config], bool] = False
    """Whether `run` draws anything. A function of the config where that depends on it."""
    resumable: bool = False
    """Whether `run` goes on from what an interrupted run left in `out`. If not, `out` is emptied first."""
    launches: bool = False
    """Whether `run` can be several processes at once, as `Context.launcher` says: each is called with the same config
    and folder, and the first of them writes and returns the summary. Its STAGE stands in the module of `run`."""
    publishes: bool = False
    """Whether its result leaves the house (an export): a recipe should gate something before it."""
    needs: Sequence[str] | Callable[[Config], Sequence[str]] = ()
    """Packages that must be importable, checked before anything of the recipe runs; their versions go to the ledger.
    A function of the config where they depend on it."""

    @property
    def line(self) -> str:
        return (inspect.getdoc(self.run) or "").partition("\n")[0]

    def parts(self, config: Config) -> Mapping[str, type[Artifact]]:
        return self.makes(config) if callable(self.makes) else self.makes

    def draws(self, config: Config) -> bool:
        return self.uses_seed(config) if callable(self.uses_seed) else self.uses_seed

    def packages(self, config: Config) -> Sequence[str]:
        return self.needs(config) if callable(self.needs) else self.needs


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference as a recipe writes it: the part of a step, before the step has run."""

    step: str
    part: str
    kind: type[Artifact] = field(default=Artifact, compare=False)
    """What the part will be, which step and part decide."""
    config: StageConfig | None = field(default=None, compare=False, repr=False)
    """Of the step that will make it: what a config can be checked against before anything runs."""

    def __str__(self) -> str:
        return f"{self.step}.{self.part}"


def _spread(value: Any, info: ValidationInfo) -> Any:
    """Turn `student[*]` into the list of all steps that `for_each` made of it."""
    spread = (info.context or {}).get("spread")
    items = value if isinstance(value, list) else [value]
    if spread is None:
        return items
    return [name for item in items for name in (spread(item) if isinstance(item, str) else [item])]


Many = Annotated[list[ArtifactT], BeforeValidator(_spread)]
"""A list of references, in which `student[*]` stands for every member of a `for_each`."""


def references(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every reference and artifact in a config, with the dotted path of the field that holds it."""
    match value:
        case Reference() | Artifact():
            yield ".".join(path), value
        case BaseModel():
            for name in type(value).model_fields:
                yield from references(getattr(value, name), (*path, name))
        case Choice():
            yield from references(value.options, path)
        case Mapping():
            for name, item in value.items():
                yield from references(item, (*path, str(name)))
        case list() | tuple():
            for position, item in enumerate(value):
                yield from references(item, (*path, str(position)))


def choices(value: Any) -> Iterator[Choice]:
    """Every registered thing a config uses."""
    match value:
        case Choice():
            yield value
            yield from choices(value.options)
        case BaseModel():
            for name in type(value).model_fields:
                yield from choices(getattr(value, name))
        case Mapping():
            for item in value.values():
                yield from choices(item)
        case list() | tuple():
            for item in value:
                yield from choices(item)


def replaced(value: Any, replace: Callable[[Any], Any]) -> Any:
    """A copy of a config in which every reference and artifact is what `replace` makes of it."""
    match value:
        case Reference() | Artifact():
            return replace(value)
        case BaseModel():
            changed = {name: replaced(getattr(value, name), replace) for name in type(value).model_fields}
            return value.model_copy(update=changed)
        case Choice():
            return Choice(value.registry, value.entry, replaced(value.options, replace), value.shared)
        case Mapping():
            return {name: replaced(item, replace) for name, item in value.items()}
        case list() | tuple():
            return type(value)(replaced(item, replace) for item in value)
        case _:
            return value


def keyed(value: Any, write: Callable[[Any], Any]) -> Any:
    """A config as `written`, without the fields that only change speed."""
    match value:
        case BaseModel():
            fields = type(value).model_fields
            names = [name for name in fields if not any(isinstance(m, _OnlySpeed) for m in fields[name].metadata)]
            return {fields[name].alias or name: keyed(getattr(value, name), write) for name in names}
        case Mapping():
            return {str(name): keyed(item, write) for name, item in value.items()}
        case list() | tuple():
            return [keyed(item, write) for item in value]
        case _:
            return written(value, write)


def written(value: Any, write: Callable[[Any], Any]) -> Any:
    """A config as plain JSON values, defaults filled in; references and artifacts as `write` gives them."""
    match value:
        case Reference() | Artifact():
            return write(value)
        case BaseModel():
            fields = type(value).model_fields.items()
            return {field.alias or name: written(getattr(value, name), write) for name, field in fields}
        case Choice():
            shared = written(value.shared, write) if value.shared is not None else {}
            own = written(value.options, write)
            return {"use": value.name, "version": value.entry.version, **shared, **own}
        case Mapping():
            return {str(name): written(item, write) for name, item in value.items()}
        case list() | tuple():
            return [written(item, write) for item in value]
        case Path():
            return str(value)
        case _:
            return value
