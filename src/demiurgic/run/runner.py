"""Walks a recipe step by step: reuse what is there, make what is not, judge every gate, write everything down."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from demiurgic.core.artifacts import Manifest
from demiurgic.core.console import duration, size
from demiurgic.core.metric import JSON
from demiurgic.core.optional import installed, require
from demiurgic.run.context import Context
from demiurgic.run.finished import Finished
from demiurgic.run.gates import Verdict, judge
from demiurgic.run.ledger import Event
from demiurgic.run.lineage import revoked_keys
from demiurgic.run.recipe import Recipe, Step
from demiurgic.run.stage import StageConfig
from demiurgic.run.step import (
    Made,
    circumstances,
    full_disk_is_a_users_matter,
    is_full_disk,
    make_step,
    step_key,
)
from demiurgic.run.step import run_stage as run_stage
from demiurgic.run.store import Store

Status = Literal["made", "reused", "rejected", "blocked"]


@dataclass(frozen=True)
class Outcome:
    """What became of one step in a run. `folder` and `manifest` are None for a blocked step; `why` says what blocks."""

    step: str
    status: Status
    key: str = ""
    folder: Path | None = None
    manifest: Manifest | None = None
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    verdicts: Sequence[Verdict] = ()
    why: str = ""


def run_recipe(recipe: Recipe, store: Store, *, context: Context | None = None) -> list[Outcome]:
    """Bring every step of the recipe to a finished, judged state; returns one outcome per step, in order.

    Raises UserError for whatever a person can mend (a locked store, damage, a revoked step, bad input to a stage);
    everything finished before stays. A step that misses a gate is rejected and nothing that depends on it runs.
    """
    context = context or Context(base=recipe.path.parent)
    for step in recipe.steps.values():
        _check_packages(step)
    with full_disk_is_a_users_matter(store.path), store.locked():
        walk = _Walk(recipe, store, context)
        return [walk.take(step) for step in recipe.steps.values()]


def _check_packages(step: Step) -> None:
    for package in step.stage.needs:
        if not installed(package):
            require(package)


class _Walk:
    """One run of a recipe over a store."""

    def __init__(self, recipe: Recipe, store: Store, context: Context) -> None:
        self.recipe = recipe
        self.store = store
        self.context = context
        self.found = Finished(store, revoked_keys(store.ledger))
        self.run_id = uuid.uuid4().hex[:12]
        self.width = max((len(name) for name in recipe.steps), default=0)

    def take(self, step: Step) -> Outcome:
        why = self.found.blocked_by(step)
        if why:
            self.found.unusable[step.name] = why
            self._say(step, "blocked", why)
            return Outcome(step.name, "blocked", why=why)
        config = self.found.resolved(step.config)
        key = step_key(step.stage, config, seed=step.seed, base=self.context.base)
        reusable = self.found.reusable(key)
        if reusable is None:
            made = self._make(step, config, key)
            folder, manifest = self.store.folder(step.name, key), made.manifest
            event: Event = "made"
            seconds, peak = made.seconds, made.peak_memory_bytes
            took = {"seconds": round(seconds, 3), "peak_memory_bytes": peak, "resumed": made.resumed}
            evidence = {**took, **circumstances(step.stage), "config": manifest.config, "inputs": dict(manifest.inputs)}
            evidence["digests"] = {name: part.digest for name, part in manifest.parts.items()}
            evidence["summary"] = manifest.summary.to_json()
        else:
            folder, manifest = reusable
            event, seconds, peak, evidence = "reused", 0.0, 0, {}
        self.found.folders[step.name] = (folder, manifest)
        verdicts = judge(manifest.summary, step.gates)
        if verdicts:
            evidence["gates"] = [verdict.to_json() for verdict in verdicts]
        self._record(event, step, key, evidence)
        missed = [str(verdict) for verdict in verdicts if not verdict.passed]
        if missed:
            self._record("rejected", step, key, {"reason": "; ".join(missed)})
            self.found.unusable[step.name] = f"{step.name} was rejected: {'; '.join(missed)}"
            self._say(step, "rejected", "; ".join(missed))
            return Outcome(step.name, "rejected", key, folder, manifest, seconds, peak, verdicts, "; ".join(missed))
        status: Status = "reused" if event == "reused" else "made"
        self._say(step, status, f"{duration(seconds):>12}  {size(peak):>9}" if status == "made" else "")
        return Outcome(step.name, status, key, folder, manifest, seconds, peak, verdicts)

    def _make(self, step: Step, config: StageConfig, key: str) -> Made:
        partial = self.store.partial(step.name, key)
        self._say(step, "resuming" if partial.exists() and step.stage.resumable else "running", "")
        try:
            return make_step(
                step.stage,
                config,
                name=step.name,
                key=key,
                seed=step.seed,
                partial=partial,
                final=self.store.folder(step.name, key),
                context=self.context,
            )
        except KeyboardInterrupt:
            self._record("interrupted", step, key, {})
            raise
        except BaseException as error:
            try:
                self._record("failed", step, key, {"reason": f"{type(error).__name__}: {error}"})
            except OSError as second:
                if not is_full_disk(second, self.store.path):  # a full disk has no room for the ledger line either
                    raise
            raise

    def _record(self, event: Event, step: Step, key: str, more: Mapping[str, Any]) -> None:
        line: dict[str, JSON] = {
            "run": self.run_id,
            "recipe": self.recipe.name,
            "step": step.name,
            "stage": step.stage.name,
            "key": key,
            **more,
        }
        if step.stage.uses_seed:
            line["seed"] = step.seed
        if self.recipe.overrides:
            line["overrides"] = list(self.recipe.overrides)
        self.store.ledger.append(event, line)

    def _say(self, step: Step, status: str, rest: str) -> None:
        if status in ("running", "resuming") and not self.context.console.live:
            return
        self.context.console.say(f"{step.name:<{self.width}}  {status:<8}  {rest}".rstrip())
