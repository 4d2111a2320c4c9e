"""What an earlier run left of steps that the newest run did not come to, and whether it still is their result.

Knows nothing of how it is shown.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Manifest
from demiurgic.core.errors import UserError
from demiurgic.run.finished import Finished
from demiurgic.run.lineage import revoked_keys
from demiurgic.run.recipe import Recipe, Step
from demiurgic.run.stage import references
from demiurgic.run.status import StepStatus, step_status
from demiurgic.run.step import step_key
from demiurgic.run.store import Store

UNREACHED = "the newest run did not come to it"
STALE = "what an earlier one made is out of other inputs or another config"
UNREADABLE = "something that it reads is not there"


class Earlier:
    """Walks one recipe in its order: `note` every step, and ask `status` for those that the newest run left out.

    `lines` are the ledger's, `made` those of made steps by their key.
    """

    def __init__(
        self, store: Store, recipe: Recipe, *, lines: Sequence[Mapping[str, Any]], made: Mapping[str, dict[str, Any]]
    ) -> None:
        self._recipe = recipe
        self._lines = lines
        self._made = made
        self._found = Finished(store, revoked_keys(store.ledger))

    def note(self, name: str, *, state: str, folder: Path | None) -> None:
        """Remember what later steps would read: a rejected step blocks them, a missing one leaves them without key."""
        if state in ("rejected", "blocked"):
            self._found.unusable[name] = f"{name} was {state}"
        elif folder is not None:
            self._found.folders[name] = (folder, Manifest.read(folder))

    def status(self, name: str) -> StepStatus:
        """The last word on the step with the key that it has now; `missing` where that was never made, or has no key.

        The key is that of a run that would start now: stage, config and plug-ins as the recipe has them, its inputs as
        the newest run left them.
        """
        step = self._recipe.steps[name]
        why = self._found.blocked_by(step)
        if why:
            return without_result(name, step.stage.name, state="blocked", why=why)
        before = self._results(name)
        key = self._key(step) if before else None
        last = next((line for line in reversed(before) if line["key"] == key), None)
        if last is None:
            why = "not run yet" if not before else f"{UNREACHED}, and {STALE if key else UNREADABLE}"
            return without_result(name, step.stage.name, why=why)
        return step_status(self._found.store, last, self._made.get(last["key"], last), self._found.revoked)

    def _key(self, step: Step) -> str | None:
        """None where an input is not there, or a file that the step reads is not."""
        folders = self._found.folders
        for _, source in references(step.config):
            if source.step not in folders or source.part not in folders[source.step][1].parts:
                return None
        try:
            return step_key(
                step.stage, self._found.resolved(step.config), seed=step.seed, base=self._recipe.path.parent
            )
        except UserError:
            return None

    def _results(self, name: str) -> list[dict[str, Any]]:
        return [
            dict(line)
            for line in self._lines
            if line["event"] in ("made", "reused", "rejected")
            and (line["recipe"], line["step"]) == (self._recipe.name, name)
        ]


def without_result(name: str, stage: str, *, state: str = "missing", why: str) -> StepStatus:
    """The status of a step that has nothing to show."""
    return StepStatus(name, stage, state, key="", line="", time="", seconds=0.0, peak_memory_bytes=0, says=why)
