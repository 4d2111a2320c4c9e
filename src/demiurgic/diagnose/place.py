"""RUN as a person writes it -> what is known of that training: a step of a store, a folder, a step of a recipe.

Knows the store and the ledger; the stages come as an argument, and a recipe is found through the ledger's lines.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import MANIFEST, Manifest
from demiurgic.core.errors import UserError, unknown
from demiurgic.core.hashing import digest_of
from demiurgic.diagnose.evidence import Resolved, finished, has_log, key_of, refuse_other_stage, unfinished
from demiurgic.diagnose.settings import options_of
from demiurgic.diagnose.training import MergeOfIt, Training
from demiurgic.merge.merge import STAGE as MERGE
from demiurgic.run.finished import Finished
from demiurgic.run.lineage import lineage_of
from demiurgic.run.recipe import Recipe, Step, load_recipe
from demiurgic.run.stage import Reference, Stage, references, written
from demiurgic.run.step import inputs_of, step_key
from demiurgic.run.store import PARTIAL, Store, folder_name
from demiurgic.train.train import STAGE as TRAIN

Stages = Mapping[str, Stage[Any]]


@dataclass(frozen=True)
class Found:
    """A training, and the recipe that made it where there is one."""

    training: Training
    recipe: Recipe | None = None
    step: str | None = None
    """Its name in the recipe."""
    notes: Sequence[str] = ()
    """What a person should know of how it was found."""


def find_run(name: str, *, store: Store, stages: Stages, recipes: Iterable[Path]) -> Found:
    """The training of that name: a folder, or a step of the store by name, folder name or start of its key.

    `recipes` are files that may have made it. Raises UserError when there is none, or it is no training.
    """
    path = Path(name)
    if path.is_dir() and ((path / MANIFEST).exists() or path.name.endswith(PARTIAL) or has_log(path)):
        folder = path.absolute()
        return _of_folder(folder, Store(folder.parent), stages, recipes)
    partials = _partials(name, store)
    try:
        folder = store.named(name)
    except UserError as error:
        if not partials:
            known = ", ".join(path.name for path in store.partials()) or "none"
            raise UserError(f"{error} Not finished: {known}. A recipe is named with --step STEP.") from None
        return _of_folder(partials[-1], store, stages, recipes)
    found = _of_folder(folder, store, stages, recipes)
    later = [path.name for path in partials if not path.name.startswith(folder.name)]
    notes = [f"there is also {path}, which is not finished; name it to look at that one" for path in later]
    return replace(found, notes=[*found.notes, *notes])


def find_step(recipe: Recipe, name: str, *, store: Store) -> Found:
    """The training that a step of a recipe made, or began. Raises UserError when it has not, or is no training."""
    if name not in recipe.steps:
        raise UserError(unknown("step", name, recipe.steps))
    step = recipe.steps[name]
    refuse_other_stage(step.stage.name, name, _trainings(recipe))
    resolved = _resolved(recipe, step, store)
    folder = next((f for f in (store.find(resolved.key), store.partial(name, resolved.key)) if f and f.is_dir()), None)
    if folder is None:
        raise UserError(
            f"{store.path} holds nothing of the step {name} as {recipe.path} writes it (key {resolved.key}). Run it, "
            f"or name an earlier one: demiurgic show {name}"
        )
    whole = (folder / MANIFEST).exists()
    training = finished(folder, store) if whole else unfinished(folder, store, resolved)
    return _with_recipe(training, recipe, name)


def _partials(name: str, store: Store) -> list[Path]:
    """Folders of that step that are not finished, the newest last."""
    found = []
    for path in store.partials():
        step, _, key = path.name.removesuffix(PARTIAL).rpartition("-")
        by_key = len(name) >= 4 and key.startswith(name)
        if path.name in (name, name + PARTIAL) or step == folder_name(name) or by_key:
            found.append(path)
    return sorted(found, key=lambda path: path.stat().st_mtime)


def _of_folder(folder: Path, store: Store, stages: Stages, recipes: Iterable[Path]) -> Found:
    key = key_of(folder)
    loaded, notes = _recipe_of(key, store, stages, recipes)
    if (folder / MANIFEST).exists():
        manifest = Manifest.read(folder)
        refuse_other_stage(manifest.stage, manifest.step, _trained_above(manifest))
        training = finished(folder, store)
        return replace(_with_recipe(training, loaded, manifest.step), notes=notes)
    if loaded is not None:
        trainings = [step for step in loaded.steps.values() if step.stage.name == TRAIN.name]
        for resolved in (_try_resolved(loaded, step, store) for step in trainings):
            if resolved is not None and resolved.key == key:
                training = unfinished(folder, store, resolved)
                return replace(_with_recipe(training, loaded, resolved.step.name), notes=notes)
        notes = [*notes, f"{loaded.path} was changed since: none of its steps has the key {key} any more"]
    return Found(unfinished(folder, store, None), notes=notes)


def _recipe_of(key: str, store: Store, stages: Stages, recipes: Iterable[Path]) -> tuple[Recipe | None, list[str]]:
    """The recipe of the newest run that had to do with this key, with that run's preset and changes (--set)."""
    lines = [line for line in store.ledger.lines() if line.get("key") == key and "file" in line]
    for path in recipes:
        digest = digest_of(str(path.absolute()))[:8]
        for line in reversed(lines):
            if line["file"] == digest:
                try:
                    recipe = load_recipe(path, stages, overrides=line.get("overrides", []))
                except UserError as error:
                    return None, [f"the recipe that made it cannot be read any more: {error}"]
                recipe = replace(recipe, preset=line.get("preset"))  # its values are the first of the overrides
                options = " ".join(options_of(recipe))
                return recipe, [f"that run had {options}"] if options else []
    return None, []


def _resolved(recipe: Recipe, step: Step, store: Store) -> Resolved:
    """Raises UserError when what the step reads is not made."""
    found = Finished(store, {})  # what was revoked is a finding here, and no reason to stop
    for above in recipe.up_to(step.name).steps.values():
        if above.name == step.name:
            continue
        config = found.resolved(above.config)
        reusable = found.reusable(above, step_key(above.stage, config, seed=above.seed, base=recipe.path.parent))
        if reusable is None:
            raise UserError(
                f"{above.name} is not made in {store.path}, so {step.name} cannot have begun. Run it first."
            )
        found.folders[above.name] = reusable
    config = found.resolved(step.config)
    key = step_key(step.stage, config, seed=step.seed, base=recipe.path.parent)
    plain: Any = written(config, lambda a: {"artifact": a.kind, "key": a.manifest.key, "part": a.name})
    inputs = inputs_of(config)
    teacher = inputs["teacher"].manifest.summary if "teacher" in inputs else None
    return Resolved(step, key, plain, lineage_of(inputs.values()), teacher)


def _try_resolved(recipe: Recipe, step: Step, store: Store) -> Resolved | None:
    try:
        return _resolved(recipe, step, store)
    except UserError:  # a step above it is not made: then the folder that is looked at is not this step's
        return None


def _with_recipe(training: Training, recipe: Recipe | None, name: str) -> Found:
    if recipe is None or name not in recipe.steps:
        return Found(training)
    return Found(replace(training, merges=list(_merges(recipe, name))), recipe, name)


def _merges(recipe: Recipe, name: str) -> Iterator[MergeOfIt]:
    """The steps that merge what the step makes."""
    for step in recipe.steps.values():
        adapters = [v for field, v in references(step.config) if field == "adapter" and isinstance(v, Reference)]
        if step.stage.name == MERGE.name and any(reference.step == name for reference in adapters):
            yield MergeOfIt(step.name, str(getattr(step.config, "onto", "")))


def _trainings(recipe: Recipe) -> list[str]:
    return [step.name for step in recipe.steps.values() if step.stage.name == TRAIN.name]


def _trained_above(manifest: Manifest) -> list[str]:
    lineage: Mapping[str, Any] = manifest.lineage
    return [found["step"] for found in lineage.values() if found["stage"] == TRAIN.name]
