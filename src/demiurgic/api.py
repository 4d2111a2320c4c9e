"""The same from Python: read a recipe, run it, run one stage. The command line is a thin face over this file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from demiurgic.core.artifacts import MANIFEST, Artifact, Gguf, Manifest, Model
from demiurgic.core.errors import UserError, nearest, unknown
from demiurgic.run.context import Context
from demiurgic.run.ledger import LEDGER, Ledger
from demiurgic.run.lineage import refuse_revoked, revoked_keys
from demiurgic.run.plan import Plan, plan_recipe
from demiurgic.run.recipe import Recipe, telling
from demiurgic.run.recipe import load_recipe as _load_recipe
from demiurgic.run.runner import Outcome
from demiurgic.run.runner import run_recipe as _run_recipe
from demiurgic.run.step import run_stage as _run_stage
from demiurgic.run.store import Store
from demiurgic.stages import STAGES

DEFAULT_STORE = "store"
MODELS = "A model is a Hugging Face folder, a .gguf file or a step of the store."


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


def load_recipe(name: Path | str = "stdlib", *, overrides: Sequence[str] = (), preset: str | None = None) -> Recipe:
    """Read and check a recipe, by path or name; a `preset` of it is applied before `overrides`.

    Raises RecipeError with file and line.
    """
    return _load_recipe(find_recipe(name), STAGES, overrides=overrides, preset=preset)


def run_recipe(
    recipe: Recipe, *, store: Path | str = DEFAULT_STORE, to: str | None = None, context: Context | None = None
) -> list[Outcome]:
    """Bring every step (up to `to`) to a finished, judged state; raises UserError for what a person can mend."""
    return _run_recipe(recipe.up_to(to) if to else recipe, Store(Path(store)), context=context)


def plan(recipe: Recipe, *, store: Path | str = DEFAULT_STORE, to: str | None = None) -> Plan:
    """What `run_recipe` would do, and why."""
    return plan_recipe(recipe.up_to(to) if to else recipe, Store(Path(store)))


@dataclass(frozen=True)
class FoundModel:
    """Something that can answer: a Hugging Face folder, or a GGUF file."""

    label: str
    """What a person calls it: the step, or the name of the file or folder."""
    kind: Literal["model", "gguf"]
    path: Path
    artifact: Artifact | None
    """What the store knows of it; None for a folder or file from elsewhere, of which nothing is proven."""
    rejected: str | None = None
    """The gates that it missed when they were judged last."""


def find_model(name: str, *, store: Path | str = DEFAULT_STORE) -> FoundModel:
    """The model of that name: a finished step of the store (`student`, `export.gguf`), a folder, or a GGUF file.

    A file or a model's folder comes before a step of that name. Raises UserError when there is none, when a step made
    several, and when it was revoked; one that missed its gates is found, and `rejected` says so.
    """
    path = Path(name)
    if path.is_file():
        if path.suffix != ".gguf":
            raise UserError(f"{path} is no GGUF file. Give a .gguf file, a Hugging Face folder or a step of the store.")
        return FoundModel(path.stem, "gguf", path, None)
    if (path / "config.json").is_file() and not (path.parent / MANIFEST).is_file():
        return FoundModel(path.name, "model", path, None)
    step, part = _finished(name, store=Store(Path(store)))
    manifest = Manifest.read(step)
    ledger = Ledger(step.parent / LEDGER)  # the one beside it knows of it, whatever store was named
    refuse_revoked(manifest, {**revoked_keys(Store(Path(store)).ledger), **revoked_keys(ledger)})
    kinds: Mapping[str, type[Artifact]] = {Model.kind: Model, Gguf.kind: Gguf}
    found = [p for p, made in manifest.parts.items() if made.kind in kinds and part in ("", p)]
    if len(found) != 1:
        made = ", ".join(f"{p} ({about.kind})" for p, about in manifest.parts.items())
        raise UserError(f"{name} makes {made}; wanted one model or gguf. Name the part, such as {manifest.step}.model.")
    artifact = kinds[manifest.parts[found[0]].kind].open(step / found[0])
    rejected = _rejection(ledger, manifest.key)
    if isinstance(artifact, Gguf):
        return FoundModel(manifest.step, "gguf", artifact.file, artifact, rejected)
    return FoundModel(manifest.step, "model", artifact.path, artifact, rejected)


def _finished(name: str, *, store: Store) -> tuple[Path, str]:
    """The folder of a finished step, and the part that was named, or "" where none was."""
    path = Path(name)
    if (path / MANIFEST).is_file():
        return path, ""
    if path.is_dir() and (path.parent / MANIFEST).is_file():
        return path.parent, path.name
    is_path = "/" in name.partition("[")[0] or path.name in ("", "..")
    if is_path and path.is_dir():
        raise UserError(f"{path} is no model: it has no config.json, and no {MANIFEST} of a finished step. {MODELS}")
    if is_path:
        raise UserError(f"{path} does not exist. Check the path; it starts from {Path.cwd()}. {MODELS}")
    step, dot, part = name.rpartition(".") if "." in name.rpartition("]")[2] else (name, "", "")
    try:
        return store.named(step if dot else name), part
    except UserError as error:
        if path.suffix == ".gguf":
            raise UserError(f"{path} does not exist. It is no step, either: {error}") from None
        raise


def _rejection(ledger: Ledger, key: str) -> str | None:
    """The gates that a step missed, if the last run that came to it rejected it."""
    events = [line for line in ledger.lines() if line.get("key") == key and "run" in line]
    return str(events[-1]["reason"]) if events and events[-1]["event"] == "rejected" else None


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
            f'unknown option "{where}".{nearest(where, known)}'
            if first["type"] == "extra_forbidden"
            else first["msg"].removeprefix("Value error, ")
        )
        raise UserError(f"{stage}.{where}: {what.removesuffix('.')}. {stage} takes: {', '.join(known)}.") from None
