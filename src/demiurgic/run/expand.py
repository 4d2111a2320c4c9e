"""What changes the steps a recipe writes: `like`, `for_each`, a preset, and `--set` from the command line."""

import copy
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from demiurgic.core.errors import RecipeError, UserError, nearest, unknown
from demiurgic.run.presets import Preset
from demiurgic.run.yaml_lines import Document, Place, parse_value

STEP_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Draft:
    """A step as the recipe writes it after `like` and `for_each`, before its values are checked.

    `group` is its name without `[...]`; `index` holds what `for_each` gave it; `lines` the line of each of its places.
    """

    name: str
    group: str
    index: Mapping[str, str]
    values: Mapping[str, Any]
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int | None:
        """The line of a place, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place)


@dataclass(frozen=True)
class Override:
    """One `--set STEP.FIELD=VALUE`, or one entry of a preset, which stands on a `line`."""

    what: str
    path: Sequence[str]
    value: Any
    line: int | None = None

    def apply(self, values: dict[str, Any], lines: dict[Place, int], *, file: str) -> None:
        """Raises UserError when there is no such place; RecipeError with its line for an entry of a preset."""
        try:
            place = set_place(values, self.path, copy.deepcopy(self.value), what=self.what)
        except UserError as error:
            if self.line is None:
                raise
            raise RecipeError(str(error), file=file, line=self.line) from None
        if self.line is not None:
            lines[place] = self.line


def read_preset(recipe: dict[str, Any], preset: Preset, *, file: str) -> dict[str, list[Override]]:
    """What a preset sets of each step, as `read_overrides` does it. Raises RecipeError for a step there is not."""
    by_step: dict[str, list[Override]] = {}
    for entry in preset.entries:
        what = f"preset {preset.name}: {entry.path}"
        try:
            _place_override(recipe, by_step, Override(what, entry.path.split("."), entry.value, entry.line))
        except UserError as error:
            raise RecipeError(str(error), file=file, line=entry.line) from None
    return by_step


def read_overrides(recipe: dict[str, Any], overrides: Sequence[str]) -> dict[str, list[Override]]:
    """The overrides of each step, by its name; `seed=3` and `name=x` are applied to the recipe at once.

    A step's own overrides are applied when its `like` is filled in, so that they change what it inherits and are
    inherited in turn. Raises UserError for what does not fit.
    """
    by_step: dict[str, list[Override]] = {}
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals or not name.strip():
            raise UserError(f'--set wants NAME=VALUE, such as --set student.steps=50; found "{override}".')
        path = name.strip().split(".")
        _place_override(recipe, by_step, Override(f"--set {override}", path, parse_value(text)))
    return by_step


def _place_override(recipe: dict[str, Any], by_step: dict[str, list[Override]], override: Override) -> None:
    """Apply what changes the recipe as a whole; put what changes a step, its name taken off, to that step's others."""
    first, *rest = override.path
    if not rest:
        if first not in ("seed", "name"):
            raise UserError(f"{override.what}: wants STEP.FIELD=VALUE, seed=VALUE or name=VALUE.")
        if first == "seed" and not is_seed(override.value):
            raise UserError(f"{override.what}: wants a whole number, found {override.value!r}")
        recipe[first] = override.value
        return
    if rest[0] == "like":
        raise UserError(
            f"{override.what}: `like` is filled in before presets and --set are read. Set what it copies instead, or "
            "write it into the recipe."
        )
    steps = recipe.get("steps")
    if not isinstance(steps, dict) or not isinstance(steps.get(first), dict):
        raise UserError(f"{override.what}: {unknown('step', first, steps if isinstance(steps, dict) else ())}")
    by_step.setdefault(first, []).append(replace(override, path=rest))


def is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def set_place(values: Any, path: Sequence[str], value: Any, *, what: str) -> Place:
    """Set one place, named by keys and list positions, and say which it is.

    Raises UserError when the way to it does not exist.
    """
    *way, last = path
    place: Place = ()
    for name in way:
        if isinstance(values, dict):
            values, place = values.setdefault(name, {}), (*place, name)
        elif isinstance(values, list) and name.isdigit() and int(name) < len(values):
            values, place = values[int(name)], (*place, int(name))
        else:
            raise UserError(f'{what}: there is no "{name}" to set something in.')
    if isinstance(values, dict):
        values[last] = value
        return (*place, last)
    if isinstance(values, list) and last.isdigit() and int(last) < len(values):
        values[int(last)] = value
        return (*place, int(last))
    raise UserError(f'{what}: there is no "{last}" to set.')


def expand(document: Document, overrides: Mapping[str, Sequence[Override]], *, file: str) -> list[Draft]:
    """All steps in the order they stand, `like` filled in, overrides applied and `for_each` written out."""
    steps = document.value["steps"]
    likes: dict[str, tuple[dict[str, Any], dict[Place, int]]] = {}
    drafts: list[Draft] = []
    for name, raw in steps.items():
        line = document.lines.get(("steps", name))
        if not STEP_NAME.fullmatch(name):
            raise RecipeError(
                f'"{name}" is not a step name: letters, digits, _ and -, a letter first', file=file, line=line
            )
        if not isinstance(raw, dict):
            raise RecipeError(f"step {name} wants keys and values, starting with use: STAGE", file=file, line=line)
        own_lines = {p[2:]: n for p, n in document.lines.items() if p[:2] == ("steps", name)}
        likes[name] = _like(name, raw, own_lines, likes, steps, file=file)
        for override in overrides.get(name, ()):
            override.apply(*likes[name], file=file)
        drafts += _for_each(name, *likes[name], file=file)
    return drafts


def _like(
    name: str,
    raw: dict[str, Any],
    lines: dict[Place, int],
    earlier: Mapping[str, tuple[dict[str, Any], dict[Place, int]]],
    steps: Mapping[str, Any],
    *,
    file: str,
) -> tuple[dict[str, Any], dict[Place, int]]:
    if "like" not in raw:
        return copy.deepcopy(raw), lines
    model, line = str(raw["like"]), lines.get(("like",))
    if model not in earlier:
        if model in steps:
            raise RecipeError(f"{name}.like: {model} stands later; move it above {name}", file=file, line=line)
        raise RecipeError(f"{name}.like: {unknown('step', model, earlier)}", file=file, line=line)
    values, model_lines = earlier[model]
    own = {key: value for key, value in raw.items() if key != "like"}
    kept = {place: n for place, n in model_lines.items() if place and place[0] not in own}
    return copy.deepcopy({**values, **own}), {**kept, **lines}


def _for_each(name: str, written: dict[str, Any], lines: dict[Place, int], *, file: str) -> list[Draft]:
    values = {key: value for key, value in written.items() if key != "for_each"}
    if "for_each" not in written:
        return [Draft(name, name, {}, values, lines)]
    variables = written["for_each"]
    line = lines.get(("for_each",))
    if (
        not isinstance(variables, dict)
        or not variables
        or not all(isinstance(v, list) and v for v in variables.values())
    ):
        raise RecipeError(
            f"{name}.for_each wants {{key: [value, ...]}}, such as {{seed: [1, 2, 3]}}", file=file, line=line
        )
    drafts = []
    for combination in itertools.product(*variables.values()):
        compound = [value for value in combination if isinstance(value, dict | list)]
        if compound:
            raise RecipeError(f"{name}.for_each takes numbers and words, not {compound[0]!r}", file=file, line=line)
        index = {variable: str(value) for variable, value in zip(variables, combination, strict=True)}
        own = copy.deepcopy(values)
        for variable, value in zip(variables, combination, strict=True):
            try:
                set_place(own, variable.split("."), value, what=f"{name}.for_each")
            except UserError as error:
                raise RecipeError(str(error), file=file, line=line) from None
        full_name = f"{name}[{','.join(f'{variable}={value}' for variable, value in index.items())}]"
        drafts.append(Draft(full_name, name, index, own, lines))
    if len({draft.name for draft in drafts}) < len(drafts):
        raise RecipeError(f"{name}.for_each names a value twice", file=file, line=line)
    return drafts


def find_step(
    text: str, drafts: Sequence[Draft], *, asking: Mapping[str, str], later: Mapping[str, int | None], own: str = ""
) -> list[Draft]:
    """The steps a reference names: one, or with `[*]` all that `for_each` made.

    A bare name of a group asked from within a `for_each` over the same variables means the member with the same index.
    Raises UserError for an unknown or later step and for a group where one step is wanted.
    """
    group, bracket, _ = text.partition("[")
    members = [draft for draft in drafts if draft.group == group]
    if not members:
        if group == own:
            raise UserError(f'"{group}" is this step itself; a step may only name steps above it')
        if group in later:
            where = f" (line {later[group]})" if later[group] else ""
            raise UserError(f'"{group}" stands later in the recipe{where}; a step may only name steps above it')
        raise UserError(f'there is no step "{group}" above.{nearest(group, {draft.group for draft in drafts})}')
    if text.endswith("[*]"):
        return members
    exact = [draft for draft in members if draft.name == text]
    if exact or bracket:
        if not exact:
            raise UserError(f'there is no step "{text}"; there are {", ".join(draft.name for draft in members)}')
        return exact
    shared = set(asking) & set(members[0].index)
    same = [m for m in members if shared and all(m.index[v] == asking[v] for v in shared)]
    if len(same) != 1:
        names = ", ".join(draft.name for draft in members)
        raise UserError(f'"{text}" was written out by for_each: name one of {names}, or {group}[*] where a list fits')
    return same
