"""Open sets: things found by name, one file each, with typed options, a version and a one-line description.

A registry knows the folder its files lie in and imports them at the first look-up, not before. Packages of other
people add theirs through the entry-point group `demiurgic.<plural name>`.

    LOSSES = Registry("losses", package="demiurgic.train.losses")

    @LOSSES.register("forward_kl")
    def forward_kl(student, teacher, *, temperature: float = 1.0): ...

The keyword-only parameters are the options a recipe may set. A config field takes one as

    LossChoice = Annotated[Choice, LOSSES]
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from demiurgic.core.errors import UserError, nearest, place_of, unknown
from demiurgic.core.metric import JSON


class Options(BaseModel):
    """The options of a registered thing; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


@dataclass(frozen=True)
class Entry:
    """One registered thing: the function (or class), what may be set on it, and what is known of it."""

    name: str
    make: Callable[..., Any]
    options: type[Options]
    version: int
    fingerprint: Callable[..., JSON] | None
    facts: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.make) or "").partition("\n")[0]


@dataclass(frozen=True)
class Choice:
    """A registered thing with its options, as a recipe names it: `{use: NAME, option: value}`.

    `shared` holds the options that every thing of the registry has beside its own (the weight of a loss).
    """

    registry: "Registry"
    entry: Entry
    options: Options
    shared: Any = None

    @property
    def name(self) -> str:
        return self.entry.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the registered thing with its chosen options."""
        return self.entry.make(*args, **kwargs, **dict(self.options))

    def to_json(self) -> dict[str, JSON]:
        """What enters a key: the name, the version, and every option with its default filled in."""
        shared = self.shared.model_dump(mode="json") if self.shared is not None else {}
        own = self.options.model_dump(mode="json")
        return {"use": self.name, "version": self.entry.version, **shared, **own}


class Registry:
    """Named things of one sort. `package` is the folder whose files register them.

    `singular` is what one of them is called, the plural without its s when not given.
    """

    def __init__(
        self, plural: str, *, package: str, singular: str | None = None, shared: type[BaseModel] | None = None
    ) -> None:
        self.plural = plural
        self.singular = singular or plural.removesuffix("s")
        self.package = package
        self.shared = shared
        self._entries: dict[str, Entry] = {}
        self._discovered = False
        self._discovering = False

    def register(
        self,
        name: str,
        *,
        version: int = 1,
        fingerprint: Callable[..., JSON] | None = None,
        **facts: JSON,
    ) -> Callable[[Callable[..., Any]], Any]:
        """Register the decorated function under `name`.

        `version` enters the key of every step that uses it: raise it when the output changes. `fingerprint`, given
        the options and `base` (the folder that relative paths start from), returns what else enters the key (digests
        of the files a source reads). `facts` are plain values that `demiurgic list` and checks read.
        """

        def add(make: Callable[..., Any]) -> Any:
            known = self._entries.get(name)
            if known is not None and _place(known.make) != _place(make):
                places = f"by {_place(known.make)} and by {_place(make)}"
                raise ValueError(f"{self.plural}: {name!r} is registered twice, {places}")
            self._entries[name] = Entry(name, make, _options_of(make, name), version, fingerprint, facts)
            return make

        return add

    def entries(self) -> Mapping[str, Entry]:
        """Every registered thing by name, in order of name."""
        self._discover()
        return dict(sorted(self._entries.items()))

    def get(self, name: str) -> Entry:
        """The thing of that name; a UserError that suggests the nearest one when there is none."""
        self._discover()
        if name not in self._entries:
            raise UserError(unknown(self.singular, name, self._entries))
        return self._entries[name]

    def choose(self, value: Any, *, context: Any = None) -> Choice:
        """Read `"name"` or `{use: name, option: value}`; raises PydanticCustomError naming what does not fit.

        `context` is pydantic's, with which references among the options are resolved.
        """
        if isinstance(value, Choice):
            return value
        if isinstance(value, str):
            value = {"use": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("use"), str):
            raise PydanticCustomError("choice", f"wants {{use: NAME, ...}} of the {self.plural}; found {value!r}")
        try:
            entry = self.get(value["use"])
        except UserError as error:
            raise PydanticCustomError("choice", "{reason}", {"reason": str(error), "place": ["use"]}) from None
        given = {key: item for key, item in value.items() if key != "use"}
        shared_fields = self.shared.model_fields if self.shared else {}
        try:
            shared = (
                self.shared.model_validate({k: v for k, v in given.items() if k in shared_fields}, context=context)
                if self.shared
                else None
            )
            own = {k: v for k, v in given.items() if k not in shared_fields}
            options = entry.options.model_validate(own, context=context)
        except ValidationError as error:
            reason = _first_error(error, entry.name, [*entry.options.model_fields, *shared_fields])
            place = [*place_of(error.errors()[0]["loc"])]
            raise PydanticCustomError("choice", "{reason}", {"reason": reason, "place": place}) from None
        return Choice(self, entry, options, shared)

    def _discover(self) -> None:
        # A module that looks something up while it is imported finds what is registered so far.
        if self._discovered or self._discovering:
            return
        self._discovering = True
        try:
            folder = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(folder.__path__):
                importlib.import_module(f"{self.package}.{module.name}")
            for point in entry_points(group=f"demiurgic.{self.plural}"):
                point.load()
            self._discovered = True
        finally:
            self._discovering = False

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        def choose(value: Any, info: core_schema.ValidationInfo) -> Choice:
            return self.choose(value, context=info.context)

        return core_schema.with_info_plain_validator_function(
            choose, serialization=core_schema.plain_serializer_function_ser_schema(Choice.to_json)
        )


def _place(make: Callable[..., Any]) -> str:
    """Where a function stands; equal when a module is imported again."""
    return f"{make.__module__}.{make.__qualname__}"


def _options_of(make: Callable[..., Any], name: str) -> type[Options]:
    fields: dict[str, Any] = {}
    signature = inspect.signature(make, eval_str=False)
    hints = inspect.get_annotations(make if inspect.isfunction(make) else make.__init__, eval_str=False)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = (hints[parameter.name], default)
    return create_model(f"{name}_options", __base__=Options, **fields)


def _first_error(error: ValidationError, name: str, fields: list[str]) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in place_of(first["loc"]))
    if first["type"] == "extra_forbidden":
        return f'{name} has no option "{where}".{nearest(where, fields)} It takes: {", ".join(fields) or "none"}.'
    if first["type"] == "missing":
        return f'{name} needs the option "{where}".'
    if first["type"] in ("reference", "choice"):
        return f"{name}.{where}: {first['msg']}"
    return f"{name}.{where}: {first['msg'].removeprefix('Value error, ')}; found {first['input']!r}."
