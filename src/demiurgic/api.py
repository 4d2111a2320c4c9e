"""The same from Python: read a recipe, run it, run one stage. The command line is a thin face over this file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from demiurgic.core.errors import UserError, nearest, unknown
from demiurgic.run.context import Context
from demiurgic.run.plan import Plan, plan_recipe
from demiurgic.run.recipe import Recipe, telling
from demiurgic.run.recipe import load_recipe as _load_recipe
from demiurgic.run.runner import Outcome
from demiurgic.run.runner import run_recipe as _run_recipe
from demiurgic.run.step import run_stage as _run_stage
from demiurgic.run.store import Store
from demiurgic.stages import STAGES

DEFAULT_STORE = "store"


def find_recipe(name: Path | str) -> Path:
    """The file of a recipe, given by path or by the name of one that comes with the package (`stdlib`)."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    here = Path(__file__).parent
    folders = [here / "recipes", here.parents[1] / "recipes"]  # installed, and in a checkout
    recipes = {found.stem: found for folder in reversed(folders) for found in sorted(folder.glob("*.yaml"))}
    if str(name) not in recipes:
        raise UserError(f"{unknown('recipe', str(name), recipes)} A file of your own is named with its .yaml.")
    return recipes[str(name)]


def load_recipe(name: Path | str = "stdlib", *, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe, by path or name. Raises RecipeError with file and line."""
    return _load_recipe(find_recipe(name), STAGES, overrides=overrides)


def run_recipe(
    recipe: Recipe, *, store: Path | str = DEFAULT_STORE, to: str | None = None, context: Context | None = None
) -> list[Outcome]:
    """Bring every step (up to `to`) to a finished, judged state; raises UserError for what a person can mend."""
    return _run_recipe(recipe.up_to(to) if to else recipe, Store(Path(store)), context=context)


def plan(recipe: Recipe, *, store: Path | str = DEFAULT_STORE, to: str | None = None) -> Plan:
    """What `run_recipe` would do, and why."""
    return plan_recipe(recipe.up_to(to) if to else recipe, Store(Path(store)))


def run_stage(
    stage: str, values: Mapping[str, Any], out: Path | str, *, seed: int = 0, context: Context | None = None
) -> Path:
    """Run one stage without a recipe; reference fields take folders. Returns the finished folder.

    Raises UserError for an unknown stage, values that do not fit, and an `out` that exists.
    """
    if stage not in STAGES:
        raise UserError(unknown("stage", stage, STAGES))
    try:
        return _run_stage(STAGES[stage], values, Path(out), seed=seed, context=context)
    except ValidationError as error:
        first = telling(error)
        where = ".".join(str(part) for part in first["loc"])
        known = list(STAGES[stage].config.model_fields)
        what = (
            f'unknown option "{where}".{nearest(where, known)}' if first["type"] == "extra_forbidden" else first["msg"]
        )
        raise UserError(f"{stage}.{where}: {what.removesuffix('.')}. {stage} takes: {', '.join(known)}.") from None
