"""What a run would do, and why, without doing any of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from demiurgic.run.finished import Finished
from demiurgic.run.gates import judge
from demiurgic.run.lineage import revoked_keys
from demiurgic.run.recipe import Recipe, Step
from demiurgic.run.stage import StageConfig, written
from demiurgic.run.step import step_key
from demiurgic.run.store import Store


@dataclass(frozen=True)
class Planned:
    """What a run would do with one step, why, and on what it depends. The key is "" while an input is not made yet."""

    step: str
    stage: str
    action: Literal["reuse", "run", "resume", "rejected", "blocked"]
    why: str
    key: str
    depends_on: Sequence[str]


@dataclass(frozen=True)
class Plan:
    steps: Sequence[Planned]
    warnings: Sequence[str]


def plan_recipe(recipe: Recipe, store: Store, *, base: Path | None = None) -> Plan:
    """What `run_recipe` would do, without doing any of it. Raises the UserErrors a run would stop with at once."""
    found = Finished(store, revoked_keys(store.ledger))
    unmade: set[str] = set()
    steps = []
    for step in recipe.steps.values():
        planned = _plan_step(step, found, unmade, base or recipe.path.parent)
        if planned.action in ("run", "resume"):
            unmade.add(step.name)
        steps.append(planned)
    return Plan(steps, list(_ungated(recipe)))


def _plan_step(step: Step, found: Finished, unmade: set[str], base: Path) -> Planned:
    def planned(action: Literal["reuse", "run", "resume", "rejected", "blocked"], why: str, key: str = "") -> Planned:
        return Planned(step.name, step.stage.name, action, why, key, step.depends_on)

    why = found.blocked_by(step)
    if why:
        found.unusable[step.name] = why
        return planned("blocked", why)
    waiting = [name for name in step.reads if name in unmade]  # what it only requires does not change its key
    if waiting:
        return planned("run", f"after {', '.join(waiting)}")
    config = found.resolved(step.config)
    key = step_key(step.stage, config, seed=step.seed, base=base)
    reusable = found.reusable(step, key)
    if reusable is None:
        if step.stage.resumable and found.store.partial(step.name, key).exists():
            return planned("resume", "an earlier run was interrupted", key)
        return planned("run", _difference(step, config, key, found.store), key)
    found.folders[step.name] = reusable
    missed = [str(verdict) for verdict in judge(reusable[1].summary, step.gates) if not verdict.passed]
    if missed:
        found.unusable[step.name] = f"{step.name} was rejected: {'; '.join(missed)}"
        return planned("rejected", "; ".join(missed), key)
    return planned("reuse", "finished, and nothing it depends on changed", key)


def _difference(step: Step, config: StageConfig, key: str, store: Store) -> str:
    """What changed since the step of this name was last made."""
    made = [line for line in store.ledger.lines() if line["event"] == "made" and line["step"] == step.name]
    if not made:
        return "not made yet"
    if any(line["key"] == key for line in made):
        return "its folder is gone from the store"
    last = made[-1]
    present = written(config, lambda a: {"artifact": a.kind, "key": a.manifest.key, "part": a.name})
    changed = list(_changes(last["config"], present, ""))
    if last.get("seed") is not None and last["seed"] != step.seed:
        changed.append(f"seed {last['seed']} -> {step.seed}")
    if changed:
        return "changed: " + "; ".join(changed[:4])
    return "its stage, its plug-ins or the files it reads changed"


def _changes(before: Any, after: Any, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict) and before.get("artifact") == after.get("artifact"):
        if "artifact" in before and before != after:
            yield f"{place} is new"
            return
        for name in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(name), after.get(name), f"{place}.{name}" if place else name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changes(old, new, f"{place}.{position}")
    elif before != after:
        yield f"{place} {before} -> {after}"


def _ungated(recipe: Recipe) -> Iterator[str]:
    """A warning for each step whose result leaves the house with no gate on it or before it."""
    gated: set[str] = set()
    for step in recipe.steps.values():
        if step.gates or any(name in gated for name in step.depends_on):
            gated.add(step.name)
        elif step.stage.publishes:
            yield f"{step.name} ({step.stage.name}) leaves the house with no gate before it"
