"""The state of a store, as a function of its ledger: what the newest run of each recipe did, and what is damaged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Manifest, damage
from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.run.lineage import revocation, revoked_keys
from demiurgic.run.store import Store


@dataclass(frozen=True)
class StepStatus:
    """The newest word on one step. `line` is the id of the ledger line that made it, `last` the newest event."""

    step: str
    stage: str
    last: str
    key: str
    line: str
    time: str
    seconds: float
    peak_memory_bytes: int
    says: str

    def to_json(self) -> dict[str, JSON]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class StoreStatus:
    """`recipes` maps each recipe to the steps of its newest run; `problems` is what `verify` found."""

    recipes: Mapping[str, Sequence[StepStatus]]
    partials: Sequence[str]
    problems: Sequence[str]


def store_status(store: Store, *, verify: bool = False, console: Console | None = None) -> StoreStatus:
    """Read the ledger; with `verify`, also read every file of every artifact and compare its digest."""
    lines = list(store.ledger.lines())
    made = {line["key"]: line for line in lines if line["event"] == "made"}
    revoked = revoked_keys(store.ledger)
    newest: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if line["event"] == "started":
            newest[line["recipe"]] = []
        elif "run" in line and line["event"] != "judged":
            newest.setdefault(line["recipe"], []).append(line)
    recipes = {recipe: _steps(store, steps, made, revoked) for recipe, steps in newest.items()}
    problems = _problems(store, console or Console(quiet=True)) if verify else []
    return StoreStatus(recipes, [path.name for path in store.partials()], problems)


def _steps(
    store: Store, lines: Sequence[dict[str, Any]], made: Mapping[str, dict[str, Any]], revoked: Mapping[str, str]
) -> list[StepStatus]:
    last: dict[str, dict[str, Any]] = {}
    for line in lines:
        last[line["step"]] = line
    return [step_status(store, line, made.get(line["key"], line), revoked) for line in last.values()]


def step_status(store: Store, line: dict[str, Any], origin: dict[str, Any], revoked: Mapping[str, str]) -> StepStatus:
    """What a ledger line says of a step, as the store has it now; `origin` is the line that made the step."""
    event, says = line["event"], str(line.get("reason", ""))
    folder = store.find(line["key"])
    if folder is None and event in ("made", "reused", "rejected"):
        event, says = "missing", "its folder is gone; the next run makes it again"
    elif folder is not None:
        event, says = _as_found(folder, revoked) or (event, says)
    return StepStatus(
        step=line["step"],
        stage=line["stage"],
        last=event,
        key=line["key"],
        line=origin["id"],
        time=line["time"],
        seconds=float(origin.get("seconds", 0.0)),
        peak_memory_bytes=int(origin.get("peak_memory_bytes", 0)),
        says=says,
    )


def _as_found(folder: Path, revoked: Mapping[str, str]) -> tuple[str, str] | None:
    try:
        reason = revocation(Manifest.read(folder), revoked)
    except UserError as error:
        return "damaged", str(error)
    return ("revoked", reason) if reason else None


def _problems(store: Store, console: Console) -> list[str]:
    problems = []
    folders = store.artifacts()
    with console.progress("verifying", len(folders)) as progress:
        for folder in folders:
            progress.show(folder.name)
            try:
                manifest = Manifest.read(folder)
                found = (damage(folder / name, part, full=True) for name, part in manifest.parts.items())
                problems += [problem for problem in found if problem]
            except UserError as error:
                problems.append(str(error))
            progress.advance()
    return problems
