"""Walks a recipe step by step: reuse what is there, make what is not, judge every gate, write everything down."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from demiurgic.core.artifacts import Manifest
from demiurgic.core.console import duration, size
from demiurgic.core.hashing import digest_of
from demiurgic.core.metric import JSON
from demiurgic.core.optional import require
from demiurgic.run.context import Context, journal_beside
from demiurgic.run.finished import Finished
from demiurgic.run.gates import Verdict, judge
from demiurgic.run.ledger import Event
from demiurgic.run.lineage import revoked_keys
from demiurgic.run.recipe import Recipe, Step
from demiurgic.run.stage import StageConfig
from demiurgic.run.step import (
    full_disk_is_a_users_matter,
    is_full_disk,
    make_step,
    step_key,
)
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
    verdicts: Sequence[Verdict] = ()
    why: str = ""

    @property
    def seconds(self) -> float:
        """What making it took, in this run or an earlier one."""
        return self._took("seconds")

    @property
    def peak_memory_bytes(self) -> int:
        return int(self._took("peak_memory_bytes"))

    def _took(self, what: str) -> float:
        value = self.manifest.took[what] if self.manifest else 0
        assert isinstance(value, int | float)
        return value


def _evidence(manifest: Manifest) -> dict[str, JSON]:
    """What the ledger keeps of a step that was made."""
    return {
        **manifest.took,
        "config": manifest.config,
        "inputs": dict(manifest.inputs),
        "digests": {name: part.digest for name, part in manifest.parts.items()},
        "summary": manifest.summary.to_json(),
    }


def run_recipe(recipe: Recipe, store: Store, *, context: Context | None = None) -> list[Outcome]:
    """Bring every step of the recipe to a finished, judged state; returns one outcome per step, in order.

    Raises UserError for whatever a person can mend (a locked store, damage, a revoked step, bad input to a stage);
    everything finished before stays. A step that misses a gate is rejected and nothing that depends on it runs.
    """
    context = replace(context or Context(), base=recipe.path.parent)
    context = replace(context, journal=context.journal or journal_beside(store.path))
    for step in recipe.steps.values():
        require(*step.stage.packages(step.config))
    with full_disk_is_a_users_matter(store.path), store.locked():
        walk = _Walk(recipe, store, context)
        walk.start()
        return [walk.take(step) for step in recipe.steps.values()]


class _Walk:
    """One run of a recipe over a store."""

    def __init__(self, recipe: Recipe, store: Store, context: Context) -> None:
        self.recipe = recipe
        self.store = store
        self.context = context
        self.found = Finished(store, revoked_keys(store.ledger))
        self.run_id = uuid.uuid4().hex[:12]
        self.width = max((len(name) for name in recipe.steps), default=0)
        self._recorded: set[str] | None = None

    def start(self) -> None:
        """Write down what this run is of: all steps of the recipe, also where it goes only up to one of them."""
        self.store.ledger.append("started", {**self._run(), "steps": list(self.recipe.all_steps)})

    def take(self, step: Step) -> Outcome:
        why = self.found.blocked_by(step)
        if why:
            self.found.unusable[step.name] = why
            self._record("blocked", step, "", {"reason": why})
            self._say(step, "blocked", why)
            return Outcome(step.name, "blocked", why=why)
        config = self.found.resolved(step.config)
        key = step_key(step.stage, config, seed=step.seed, base=self.context.base)
        reusable = self.found.reusable(step, key)
        if reusable is None:
            status: Status = "made"
            folder, manifest = self.store.folder(step.name, key), self._make(step, config, key)
            self._record("made", step, key, _evidence(manifest))
        else:
            status = "reused"
            folder, manifest = reusable
            if not self._was_recorded(key):  # killed between the last rename and the ledger's line
                self._record("made", step, key, _evidence(manifest))
            self._record("reused", step, key, {})
        self.found.folders[step.name] = (folder, manifest)
        verdicts = judge(manifest.summary, step.gates)
        missed = [str(verdict) for verdict in verdicts if not verdict.passed]
        if verdicts:
            shown: list[JSON] = [verdict.to_json() for verdict in verdicts]
            self._record("rejected" if missed else "judged", step, key, {"gates": shown, "reason": "; ".join(missed)})
        outcome = Outcome(step.name, status, key, folder, manifest, verdicts)
        if missed:
            self.found.unusable[step.name] = f"{step.name} was rejected: {'; '.join(missed)}"
            outcome = replace(outcome, status="rejected", why="; ".join(missed))
            self._say(step, "rejected", outcome.why)
        else:
            took = f"{duration(outcome.seconds):>12}  {size(outcome.peak_memory_bytes):>9}"
            self._say(step, status, took if status == "made" else "")
        return outcome

    def _make(self, step: Step, config: StageConfig, key: str) -> Manifest:
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
        except BaseException as error:  # whatever it is: written down, and raised again
            try:
                self._record("failed", step, key, {"reason": f"{type(error).__name__}: {error}"})
            except OSError as second:
                if not is_full_disk(second, self.store.path):  # a full disk has no room for the ledger line either
                    raise
            raise

    def _was_recorded(self, key: str) -> bool:
        if self._recorded is None:
            self._recorded = {line["key"] for line in self.store.ledger.lines() if line["event"] == "made"}
        return key in self._recorded

    def _run(self) -> dict[str, JSON]:
        return {"run": self.run_id, "recipe": self.recipe.name, "file": digest_of(str(self.recipe.path.absolute()))[:8]}

    def _record(self, event: Event, step: Step, key: str, more: Mapping[str, JSON]) -> None:
        line: dict[str, JSON] = {**self._run(), "step": step.name, "stage": step.stage.name, "key": key, **more}
        if step.stage.draws(step.config):
            line["seed"] = step.seed
        if self.recipe.preset is not None:
            line["preset"] = self.recipe.preset
        if self.recipe.overrides:
            line["overrides"] = list(self.recipe.overrides)
        self.store.ledger.append(event, line)
        if event == "made" and self._recorded is not None:
            self._recorded.add(key)

    def _say(self, step: Step, status: str, rest: str) -> None:
        if status in ("running", "resuming") and not self.context.console.live:
            return
        self.context.console.say(f"{step.name:<{self.width}}  {status:<8}  {rest}".rstrip())
