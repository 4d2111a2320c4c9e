"""A recipe: YAML that names stages, read top to bottom into checked steps. Nothing of it has run yet."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from demiurgic.core.artifacts import Kinds, a_kind
from demiurgic.core.errors import RecipeError, UserError, nearest, place_of, unknown
from demiurgic.run.expand import Draft, expand, find_step, is_seed, read_overrides, read_preset
from demiurgic.run.gates import Gate
from demiurgic.run.presets import Preset, chosen, read_presets
from demiurgic.run.stage import Reference, Stage, StageConfig, references
from demiurgic.run.yaml_lines import Document, Place, read_yaml

RESERVED = ("use", "seed", "gates", "requires")
TOP_LEVEL = ("name", "seed", "presets", "steps")


@dataclass(frozen=True)
class Step:
    """A step of a recipe, its config checked; references in it are not yet artifacts.

    `requires` are steps that must be finished and not rejected before this one, without entering its key.
    """

    name: str
    stage: Stage[Any]
    config: StageConfig
    seed: int
    gates: tuple[Gate, ...]
    requires: tuple[str, ...]
    line: int | None

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the steps whose results this one reads, each once, in the order they are named."""
        return tuple(dict.fromkeys(v.step for _, v in references(self.config) if isinstance(v, Reference)))

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Names of the steps that must be finished before this one."""
        return tuple(dict.fromkeys([*self.reads, *self.requires]))


@dataclass(frozen=True)
class Recipe:
    """The checked steps of a recipe, in the order they run: the order they stand in."""

    name: str
    seed: int
    steps: Mapping[str, Step]
    path: Path
    overrides: tuple[str, ...]
    """As `--set` says them, those of the chosen preset first: the file with these is the recipe that runs."""
    all_steps: tuple[str, ...]
    """The names of all steps of the file, also where `up_to` cut the recipe down."""
    preset: str | None = None
    """The one that was chosen."""

    def up_to(self, target: str) -> "Recipe":
        """The recipe cut down to a step (or all members of a `for_each`) and what it depends on."""
        wanted = {name for name in self.steps if name == target or name.partition("[")[0] == target.removesuffix("[*]")}
        if not wanted:
            raise UserError(unknown("step", target, self.steps))
        for name in reversed(list(self.steps)):
            if name in wanted:
                wanted |= set(self.steps[name].depends_on)
        kept = {name: step for name, step in self.steps.items() if name in wanted}
        return replace(self, steps=kept)


def load_recipe(
    path: Path | str, stages: Mapping[str, Stage[Any]], *, overrides: Sequence[str] = (), preset: str | None = None
) -> Recipe:
    """Read and check a recipe; a `preset` of it is applied, then `overrides`, which are `step.field=value` texts.

    Raises RecipeError with file and line for every mistake that can be seen without running anything, also in presets
    that are not chosen.
    """
    path = Path(path)
    document = read_yaml(path)
    _check_top_level(document, str(path))
    presets = read_presets(document, file=str(path))
    taken = chosen(presets, preset, file=str(path))
    for one in presets.values():
        _check_preset(one, document, path, stages)
    return _read(document, path, stages, preset=taken, overrides=overrides)


def _read(
    document: Document,
    path: Path,
    stages: Mapping[str, Stage[Any]],
    *,
    preset: Preset | None = None,
    overrides: Sequence[str] = (),
) -> Recipe:
    """The recipe with a preset and overrides; the document stays as it is."""
    file = str(path)
    document = replace(document, value=copy.deepcopy(document.value))
    by_step = read_preset(document.value, preset, file=file) if preset is not None else {}
    for step, found in read_overrides(document.value, overrides).items():
        by_step.setdefault(step, []).extend(found)
    seed = document.value.get("seed", 0)
    name = document.value.get("name", path.stem)
    if not is_seed(seed):
        raise RecipeError(f"seed wants a whole number, found {seed!r}", file=file, line=document.lines.get(("seed",)))
    drafts = expand(document, by_step, file=file)
    lines = {draft.group: draft.lines.get(()) for draft in drafts}
    steps: dict[str, Step] = {}
    for position, draft in enumerate(drafts):
        reader = _Reader(draft, drafts[:position], steps, lines, stages, file)
        steps[draft.name] = reader.step(default_seed=seed)
    said = [entry.text for entry in preset.entries] if preset is not None else []
    return Recipe(
        str(name), seed, steps, path, (*said, *overrides), tuple(steps), preset.name if preset is not None else None
    )


def _check_preset(preset: Preset, document: Document, path: Path, stages: Mapping[str, Stage[Any]]) -> None:
    """Raises RecipeError for a preset that does not fit the recipe as the file writes it.

    A file that cannot be read without `--set` is answered for by nothing but the entries themselves.
    """
    try:
        _read(document, path, stages, preset=preset)
    except RecipeError as error:
        if error.line not in preset.lines and not _readable(document, path, stages):
            return
        said = error.message if error.message.startswith("preset ") else f"preset {preset.name}: {error.message}"
        raise RecipeError(said, file=error.file, line=error.line) from None


def _readable(document: Document, path: Path, stages: Mapping[str, Stage[Any]]) -> bool:
    try:
        _read(document, path, stages)
    except RecipeError:
        return False
    return True


def _check_top_level(document: Document, file: str) -> None:
    value = document.value
    if not isinstance(value, dict) or not isinstance(value.get("steps"), dict) or not value["steps"]:
        raise RecipeError("a recipe wants name, seed and steps: {step: {use: STAGE, ...}}", file=file, line=1)
    for key in value:
        if key not in TOP_LEVEL:
            message = f'unknown key "{key}".{nearest(key, TOP_LEVEL)} A recipe has: {", ".join(TOP_LEVEL)}'
            raise RecipeError(message, file=file, line=document.lines.get((key,)))


def telling(error: ValidationError) -> ErrorDetails:
    """The one error to show of those that pydantic found: a misspelt name also leaves another one missing."""
    errors = error.errors()
    return next((e for e in errors if e["type"] in ("extra_forbidden", "reference", "choice")), errors[0])


@dataclass(frozen=True)
class _Reader:
    """Reads one draft into a Step, in sight of the steps above it."""

    draft: Draft
    above: Sequence[Draft]
    steps: Mapping[str, Step]
    lines: Mapping[str, int | None]
    stages: Mapping[str, Stage[Any]]
    file: str

    def step(self, *, default_seed: int) -> Step:
        values = dict(self.draft.values)
        use = values.get("use")
        if not isinstance(use, str):
            raise self._error("wants use: STAGE (or like: STEP)", ())
        if use not in self.stages:
            raise self._error(unknown("stage", use, self.stages), ("use",))
        stage = self.stages[use]
        seed = values.get("seed", default_seed)
        if not is_seed(seed):
            raise self._error(f"seed wants a whole number, found {seed!r}", ("seed",))
        config = self._config(stage, {key: value for key, value in values.items() if key not in RESERVED})
        return Step(
            name=self.draft.name,
            stage=stage,
            config=config,
            seed=seed,
            gates=self._gates(values.get("gates")),
            requires=self._requires(values.get("requires")),
            line=self.draft.line(()),
        )

    def _config(self, stage: Stage[Any], values: dict[str, Any]) -> StageConfig:
        context = {"resolve": self._resolve, "spread": self._spread}
        try:
            config: StageConfig = stage.config.model_validate(values, context=context)
        except ValidationError as error:
            raise self._explained(error, [*stage.config.model_fields, *RESERVED, "like", "for_each"]) from None
        return config

    def _gates(self, values: Any) -> tuple[Gate, ...]:
        try:
            return tuple(TypeAdapter(list[Gate]).validate_python([] if values is None else values))
        except ValidationError as error:
            raise self._explained(error, list(Gate.model_fields), place=("gates",)) from None

    def _requires(self, values: Any) -> tuple[str, ...]:
        names = [values] if isinstance(values, str) else [] if values is None else values
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._error(f"wants a step or a list of steps, found {values!r}", ("requires",))
        found: list[str] = []
        for name in names:
            try:
                group = [draft for draft in self.above if draft.group == name]
                members = group or find_step(
                    name, self.above, asking=self.draft.index, later=self.lines, own=self.draft.group
                )
                found += [draft.name for draft in members]
            except UserError as error:
                raise self._error(str(error), ("requires",)) from None
        return tuple(dict.fromkeys(found))

    def _resolve(self, text: str, kinds: Kinds) -> Reference:
        wanted = [kind.kind for kind in kinds]
        head, dot, tail = text.rpartition(".") if "." in text.rpartition("]")[2] else (text, "", "")
        found = find_step(head, self.above, asking=self.draft.index, later=self.lines, own=self.draft.group)
        if len(found) > 1:
            raise UserError(f'"{text}" names {len(found)} steps where {a_kind(*wanted)} is wanted')
        step = self.steps[found[0].name]
        parts = step.stage.parts(step.config)
        if dot and tail not in parts:
            raise UserError(
                f'step {step.name} has no part "{tail}".{nearest(tail, parts)} It makes: {", ".join(parts)}'
            )
        if not dot and len(parts) > 1:
            raise UserError(
                f"step {step.name} makes {', '.join(parts)}: name one, such as {step.name}.{next(iter(parts))}"
            )
        part = tail or next(iter(parts))
        if not issubclass(parts[part], kinds):
            makers = [
                n for n, s in self.steps.items() if any(issubclass(k, kinds) for k in s.stage.parts(s.config).values())
            ]
            hint = f" Steps above that make one: {', '.join(makers)}." if makers else " No step above makes one."
            raise UserError(f"wants {a_kind(*wanted)}; {text} is {a_kind(parts[part].kind)}.{hint}")
        return Reference(step.name, part, parts[part], step.config)

    def _spread(self, text: str) -> list[str]:
        head, bracket, tail = text.partition("[*]")
        if not bracket:
            return [text]
        try:
            members = find_step(head + bracket, self.above, asking={}, later=self.lines, own=self.draft.group)
        except UserError as error:
            raise PydanticCustomError("reference", "{reason}", {"reason": str(error)}) from None
        return [draft.name + tail for draft in members]

    def _explained(self, error: ValidationError, fields: Sequence[str], *, place: Place = ()) -> RecipeError:
        """The one error to show: the most telling of those that pydantic found. `fields` are the names known there."""
        first = telling(error)
        path = place_of(first["loc"])
        full: Place = (*place, *path)
        where = ".".join(str(part) for part in full)
        shown = f"{self.draft.name}.{where}" if where else self.draft.name
        match first["type"]:
            case "extra_forbidden":
                name = str(path[-1])
                known = fields if len(full) in (1, 1 + 2 * len(place)) else ()
                listed = f" Known: {', '.join(known)}" if known else ""
                message = f'unknown option "{name}".{nearest(name, known)}{listed}'
            case "missing":
                message = "is missing"
            case "value_error":
                message = first["msg"].removeprefix("Value error, ")
            case "reference" | "choice":
                message = first["msg"]
            case _:
                message = f"{first['msg']}; found {first['input']!r}"
        inside = tuple(first.get("ctx", {}).get("place", ()))  # where in a choice's options the mistake stands
        return RecipeError(f"{shown}: {message}", file=self.file, line=self.draft.line((*full, *inside)))

    def _error(self, message: str, place: Place) -> RecipeError:
        where = ".".join(str(part) for part in (self.draft.name, *place))
        return RecipeError(f"{where}: {message}", file=self.file, line=self.draft.line(place))
