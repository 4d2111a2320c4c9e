"""A corrected recipe: the recipe's own text with the values set that the findings ask for, checked by reading it again.

Where no recipe is known, the config of the training stands in as a recipe of one step.
"""

import copy
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON
from demiurgic.diagnose.finding import Change
from demiurgic.diagnose.settings import Setting, settings_of
from demiurgic.diagnose.yaml_edit import flow, set_value
from demiurgic.run.recipe import Recipe, load_recipe
from demiurgic.run.stage import Stage
from demiurgic.run.yaml_lines import parse_yaml, read_yaml

HEADER = "# Corrected by `demiurgic diagnose` from "
"""The first line of what this writes, by which it knows what it may write over."""
DEFAULTS: Mapping[str, JSON] = {"losses": ["cross_entropy"]}
"""What stands inside of a step that does not write it."""


@dataclass(frozen=True)
class Correction:
    text: str
    diff: str
    """Unified; empty where nothing changes."""
    by_hand: Sequence[str] = ()
    """Changes that the text could not take, in words."""


def corrected_recipe(recipe: Recipe, step: str, changes: Sequence[Change]) -> Correction:
    """The recipe's text with the changes in it.

    What a `for_each` or an alias gives is left to be changed by hand, and so is what a preset or `--set` gives.
    """
    before, settings = read_yaml(recipe.path).text, settings_of(recipe)
    text, by_hand = before, []
    for change in changes:
        name = change.step or step
        group = name.partition("[")[0]
        given = _given(settings, parse_yaml(text).value["steps"], group, change)
        edited = _edited(text, change, step=group) if not given else None
        if edited is None:
            where = f", in {given[-1]}" if given else ""
            by_hand.append(f"{name}.{change.place}: {flow(change.value)}{where}")
        else:
            text = edited
        over = [setting for setting in settings if setting.covers(_place(group, change)) and setting not in given]
        by_hand += [setting.remedy for setting in over]
    return Correction(text, _diff(before, text, name=recipe.path.name), by_hand)


def _place(step: str, change: Change) -> tuple[str, ...]:
    return (step, *map(str, change.path))


def _given(settings: Sequence[Setting], steps: Mapping[str, Any], step: str, change: Change) -> list[Setting]:
    """Those that the value to be changed stands in, or would be inherited through: the text does not say it then."""
    found = [setting for setting in settings if setting.holds(_place(step, change))]
    head = str(change.path[0])
    while len(change.path) > 1 and head not in steps[step] and "like" in steps[step]:
        step = steps[step]["like"]
        found += [setting for setting in settings if setting.covers((step, head))]
    return found


def _edited(text: str, change: Change, *, step: str) -> str | None:
    """The text with one change, or None where it would not say what was meant."""
    document: Any = parse_yaml(text).value
    variables = _inherited(document["steps"], step, "for_each") or ()
    if any(variable.split(".")[0] == str(change.path[0]) for variable in variables):
        return None
    placed = _placed(document["steps"], step, change)
    if placed is None:
        return None
    wanted = copy.deepcopy(document)
    _put(wanted["steps"][step], placed.path, placed.value)
    edited = set_value(text, ("steps", step, *placed.path), placed.value)
    return edited if edited is not None and parse_yaml(edited).value == wanted else None


def _placed(steps: Mapping[str, Any], step: str, change: Change) -> Change | None:
    """What to set: in place where the step writes it itself, else in a copy of what it inherits; None where neither is.

    A loss that stands as a word (`forward_kl`) becomes a mapping first.
    """
    head, *rest = change.path
    if not rest:
        return change
    *way, last = rest
    whole = copy.deepcopy(_inherited(steps, step, str(head)))
    found, inner = change, whole
    for depth, name in enumerate(way, start=2):
        if not _stands(inner, name):
            return None
        if isinstance(inner[name], str):
            inner[name] = {"use": inner[name]}
            found = Change(change.path[:depth], inner[name])
        inner = inner[name]
    if not (isinstance(inner, dict) or _stands(inner, last)):
        return None
    inner[last] = change.value
    return found if head in steps[step] else Change((head,), whole)


def _stands(values: Any, name: str | int) -> bool:
    """Whether a mapping has the key, or a list the position."""
    if isinstance(values, list):
        return isinstance(name, int) and name < len(values)
    return isinstance(values, dict) and name in values


def _inherited(steps: Mapping[str, Any], step: str, head: str) -> Any:
    """A step's value, from the step it is `like` where it has none of its own; the default where none has."""
    values = steps[step]
    if head in values:
        return values[head]
    return _inherited(steps, values["like"], head) if "like" in values else DEFAULTS.get(head)


def _put(values: Any, place: Sequence[str | int], value: JSON) -> None:
    for name in place[:-1]:
        values = values[name]
    values[place[-1]] = value


def corrected_config(name: str, config: Mapping[str, JSON], changes: Sequence[Change]) -> Correction:
    """The config as values of `demiurgic do train`, a line each, before and after."""
    own = [change for change in changes if change.step is None]
    after = copy.deepcopy(dict(config))
    for change in own:
        _put(after, change.path, change.value)
    old, new = (_lines(values) for values in (config, after))
    by_hand = [f"{change.step}.{change.place}: {flow(change.value)}" for change in changes if change.step is not None]
    return Correction(new, _diff(old, new, name=name), by_hand)


def _lines(config: Mapping[str, JSON]) -> str:
    return "".join(f"{name}: {flow(value)}\n" for name, value in config.items())


def _diff(before: str, after: str, *, name: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} (corrected)", n=1
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def default_file(recipe: Recipe) -> Path:
    """Beside where one stands: `student.fixed.yaml`."""
    return Path(f"{recipe.path.stem.removesuffix('.fixed')}.fixed.yaml")


def write_correction(correction: Correction, recipe: Recipe, out: Path, *, stages: Mapping[str, Stage[Any]]) -> None:
    """Write the corrected recipe, once it reads as a recipe.

    Raises UserError for a file that is not this command's own, and for a recipe whose changes do not fit together.
    """
    if out.absolute() == recipe.path.absolute() or (out.exists() and out.samefile(recipe.path)):
        raise UserError(f"{out} is the recipe itself, which is never written over. Give --fix another file.")
    if out.exists() and not out.read_text(encoding="utf-8", errors="replace").startswith(HEADER):
        raise UserError(f"{out} exists, and diagnose did not write it. Give --fix another file, or delete it.")
    draft = out.with_name(f"{out.name}.draft")
    write_text(draft, f"{HEADER}{recipe.path.name}\n{correction.text}")
    try:
        load_recipe(draft, stages)
    except UserError as error:
        draft.unlink()
        told = str(error).replace(str(draft), str(out))
        raise UserError(f"With the changes the recipe cannot be read, so it was not written: {told}") from None
    draft.replace(out)
