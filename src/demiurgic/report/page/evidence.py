"""What ledger and manifests know of each step that the page shows. Knows nothing of how it is shown."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from demiurgic.core.artifacts import Manifest, Part
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON, Summary
from demiurgic.report.page.earlier import UNREACHED, Earlier, without_result
from demiurgic.run.gates import Gate, Verdict, judge
from demiurgic.run.ledger import Ledger
from demiurgic.run.recipe import Recipe
from demiurgic.run.status import StepStatus, store_status
from demiurgic.run.store import Store

TOOK = ("seconds", "peak_memory_bytes", "resumed", "code", "versions", "device")
"""What a ledger line of a made step says of the making."""
BAD = ("rejected", "failed", "interrupted", "damaged", "revoked", "blocked", "missing")
"""States of a step that cannot be built on, the worst first."""
EARLIER = "not part of the newest run; shown as an earlier run left it, out of the same inputs and config"
OTHER_VALUES = f"{UNREACHED}, and that run had other values than this recipe (--set)"
WITH_RECIPE = "whether what an earlier run made still is its result can be told with the recipe's file"


@dataclass(frozen=True)
class ShownStep:
    """One step: its state in the newest run, and what is known of its result.

    `line` is the id of the ledger line that made it and `line_number` where it stands in the file; `took`, `config`,
    `inputs`, `parts` and `summary` are empty for a step that was never made; `folder` is None when it is gone.
    """

    recipe: str
    name: str
    stage: str
    state: str
    why: str = ""
    key: str = ""
    line: str = ""
    line_number: int | None = None
    made: str = ""
    seed: int | None = None
    took: Mapping[str, JSON] = field(default_factory=dict)
    config: Mapping[str, JSON] = field(default_factory=dict)
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)
    summary: Summary = field(default_factory=Summary)
    verdicts: Sequence[Verdict] = ()
    folder: Path | None = None
    earlier: bool = False
    """Whether the newest run did not come to it, and an earlier run's result is shown."""
    alone: bool = True
    """Whether the page shows one recipe only, so that the step's name says which step it is."""

    @property
    def note(self) -> str:
        return EARLIER if self.earlier else ""

    @property
    def label(self) -> str:
        """What the step is called outside of its recipe's own list."""
        return self.name if self.alone else f"{self.recipe}/{self.name}"

    @property
    def anchor(self) -> str:
        """The id of the step's section on the page."""
        return anchor("step", self.recipe, self.name)

    @property
    def seconds(self) -> float:
        return _number(self.took.get("seconds"))

    @property
    def peak_memory_bytes(self) -> float:
        return _number(self.took.get("peak_memory_bytes"))

    @property
    def size_bytes(self) -> int:
        """Of all files of all parts, as they were written."""
        return sum(part_bytes(part) for part in self.parts.values())


@dataclass(frozen=True)
class ShownRun:
    """The newest run of one recipe; times as the ledger has them."""

    recipe: str
    started: str
    ended: str
    overrides: Sequence[str]
    steps: Sequence[ShownStep]


@dataclass(frozen=True)
class Evidence:
    """All that the page shows. `earlier` are finished steps of the store that are in no run shown."""

    runs: Sequence[ShownRun]
    earlier: Sequence[Manifest] = ()
    num_torn: int = 0

    @property
    def steps(self) -> list[ShownStep]:
        return [step for run in self.runs for step in run.steps]

    @property
    def results(self) -> list[ShownStep]:
        """The steps that were made, each once: recipes may share some."""
        made: dict[str, ShownStep] = {}
        for step in self.steps:
            if step.took:
                made.setdefault(step.key, step)
        return list(made.values())


def anchor(*names: str) -> str:
    """Names as one id that a link can lead to; other names give another id."""
    return "/".join(quote(name, safe="", errors="replace") for name in names)


def part_bytes(part: Part) -> int:
    return sum(stamp.size_bytes for stamp in part.files.values())


def read_evidence(store: Store, *, recipe: Recipe | None) -> Evidence:
    """Read the newest run of `recipe`, or of every recipe in the store.

    Raises UserError when the store is empty, or has no run of the recipe.
    """
    recipes = store_status(store).recipes
    if not recipes:
        raise UserError(f"{store.path} has no run yet, so there is nothing to report. Start one with: demiurgic run")
    if recipe is not None and recipe.name not in recipes:
        raise UserError(
            f"{store.path} has no run of the recipe {recipe.name}; it has runs of: {', '.join(recipes)}. Run it with "
            f"`demiurgic run {recipe.path}`, or name another store with --store."
        )
    names = [recipe.name] if recipe is not None else list(recipes)
    reader = _Reader(store, alone=len(names) == 1)
    runs = [reader.run(name, recipes[name], recipe=recipe) for name in names]
    shown = {step.key for run in runs for step in run.steps}
    rest = [] if recipe is not None else [m for m in map(_readable, store.artifacts()) if m and m.key not in shown]
    return Evidence(runs, sorted(rest, key=lambda m: (m.made, m.key)), store.ledger.num_torn())


class _Reader:
    """Reads runs out of one store's ledger, which is read once."""

    def __init__(self, store: Store, *, alone: bool) -> None:
        self.store = store
        self.alone = alone
        self.lines = list(store.ledger.lines())
        self.numbers = line_numbers(store.ledger)
        self.made = {line["key"]: line for line in self.lines if line["event"] == "made"}

    def run(self, name: str, found: Sequence[StepStatus], *, recipe: Recipe | None) -> ShownRun:
        lines = [line for line in self.lines if line.get("recipe") == name]
        started = next((line for line in reversed(lines) if line["event"] == "started"), None)
        newest = [line for line in lines if started is None or line.get("run") == started["run"]]
        overrides = _overrides(newest)
        states = {status.step: status for status in found}
        if recipe is not None:
            steps = self._in_order(recipe, states, overrides=overrides)
        else:
            names = dict.fromkeys([*(started["steps"] if started else []), *states])
            steps = [self._step(name, states.get(step) or self._left_out(name, step)) for step in names]
        return ShownRun(name, newest[0]["time"], newest[-1]["time"], overrides, steps)

    def _in_order(
        self, recipe: Recipe, states: Mapping[str, StepStatus], *, overrides: Sequence[str]
    ) -> list[ShownStep]:
        """The steps of a recipe; those that the newest run did not come to as an earlier one left them."""
        changed = list(recipe.overrides) != list(overrides)
        walk = Earlier(self.store, recipe, lines=self.lines, made=self.made)
        steps = []
        for name, step in recipe.steps.items():
            if name in states:
                shown = self._step(recipe.name, states[name])
            elif changed:
                shown = self._step(recipe.name, without_result(name, step.stage.name, why=OTHER_VALUES))
            else:
                status = walk.status(name)
                shown = self._step(recipe.name, status, earlier=bool(status.key))
            walk.note(name, state=shown.state, folder=shown.folder)
            steps.append(shown)
        return steps

    def _left_out(self, recipe: str, name: str) -> StepStatus:
        """Without the recipe nobody can tell whether what an earlier run made would be made again."""
        before = [line for line in self.lines if (line.get("recipe"), line.get("step")) == (recipe, name)]
        stage = before[-1]["stage"] if before else ""
        return without_result(name, stage, why=f"{UNREACHED}; {WITH_RECIPE}" if before else "not run yet")

    def _step(self, recipe: str, status: StepStatus, *, earlier: bool = False) -> ShownStep:
        facts: dict[str, Any] = {
            "recipe": recipe,
            "name": status.step,
            "stage": status.stage,
            "state": status.last,
            "why": status.says,
            "key": status.key,
            "line": status.line,
            "line_number": self.numbers.get(status.line),
            "earlier": earlier,
            "alone": self.alone,
        }
        folder = self.store.find(status.key) if status.key else None
        manifest = _readable(folder) if folder else None
        line = self.made.get(status.key)
        if manifest is not None:
            facts |= _of_manifest(manifest) | {"folder": folder}
        elif line is not None:
            facts |= _of_line(line)
        step = ShownStep(**facts)
        verdicts = judge(step.summary, self._gates(step)) if step.took else []
        return ShownStep(**facts, verdicts=verdicts)

    def _gates(self, step: ShownStep) -> list[Gate]:
        """The gates that the last run that came to the step judged: none where the recipe had lost them by then."""
        asked = (step.recipe, step.name, step.key)
        lines = [x for x in self.lines if (x.get("recipe"), x.get("step"), x.get("key")) == asked]
        run = lines[-1]["run"] if lines else None
        judged = [x for x in lines if x["run"] == run and x["event"] in ("judged", "rejected")]
        shown = judged[-1]["gates"] if judged else []
        return [Gate(**{name: gate[name] for name in Gate.model_fields if name in gate}) for gate in shown]


def newest_overrides(store: Store, recipe: str) -> list[str]:
    """The changes (`--set`) that the newest run of a recipe had."""
    lines = [line for line in store.ledger.lines() if line.get("recipe") == recipe]
    return _overrides([line for line in lines if line["run"] == lines[-1]["run"]])


def _overrides(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    return next((list(line["overrides"]) for line in lines if "overrides" in line), [])


def _of_manifest(manifest: Manifest) -> dict[str, Any]:
    names = ("made", "seed", "took", "config", "inputs", "parts", "summary")
    return {name: getattr(manifest, name) for name in names}


def _of_line(line: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger still knows of a step whose folder is gone."""
    return {
        "made": line["time"],
        "seed": line.get("seed"),
        "took": {name: line[name] for name in TOOK if name in line},
        "config": line["config"],
        "inputs": line["inputs"],
        "summary": Summary.from_json(line["summary"]),
    }


def _readable(folder: Path) -> Manifest | None:
    """The manifest, or None where it is damaged: the step's state says so."""
    try:
        return Manifest.read(folder)
    except UserError:
        return None


def line_numbers(ledger: Ledger) -> dict[str, int]:
    """Where in the file, counted from 1, the line with each id stands."""
    found = enumerate(ledger.path.read_bytes().split(b"\n"), start=1)
    ids = ((number, re.match(rb'\{"id": "([0-9a-f]+)"', line)) for number, line in found)
    return {match[1].decode(): number for number, match in ids if match}


def _number(value: JSON) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
