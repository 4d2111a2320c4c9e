"""What the folder, the store and the ledger know of a training, put together. Knows no names and no recipe files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import MANIFEST, Manifest
from demiurgic.core.console import moment
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Summary
from demiurgic.diagnose.log import Log, read_log
from demiurgic.diagnose.training import Ancestor, Failure, Training
from demiurgic.models.lora import BASE
from demiurgic.run.ledger import Ledger
from demiurgic.run.lineage import revoked_keys
from demiurgic.run.recipe import Step
from demiurgic.run.store import PARTIAL, Store
from demiurgic.train.log import LOG
from demiurgic.train.train import STAGE as TRAIN


def has_log(folder: Path | str) -> bool:
    """Whether a training has written its first line there."""
    return (Path(folder) / LOG).is_file()


def key_of(folder: Path) -> str:
    """The key of a step's folder; of one that is not finished, what its name says."""
    if (folder / MANIFEST).exists():
        return Manifest.read(folder).key
    return folder.name.removesuffix(PARTIAL).rpartition("-")[2]


@dataclass(frozen=True)
class Resolved:
    """A step of a recipe with its inputs found."""

    step: Step
    key: str
    config: Mapping[str, Any]
    lineage: Mapping[str, Any]
    teacher: Summary | None


def finished(folder: Path, store: Store) -> Training:
    """All of a folder with a manifest. Raises UserError when its log is gone."""
    manifest = Manifest.read(folder)
    teacher: Any = manifest.inputs.get("teacher")
    lineage: Mapping[str, Any] = manifest.lineage
    summary = lineage[teacher["key"]]["summary"] if teacher and teacher["key"] in lineage else None
    config: Any = manifest.config
    return Training(
        name=manifest.step,
        log=read_log(folder),
        config={**_defaults(), **config},
        summary=manifest.summary,
        ancestors=_ancestors(lineage, store),
        base_precision=_base_precision(folder),
        teacher=_facts(Summary.from_json(summary)) if summary else {},
    )


def _defaults() -> dict[str, Any]:
    """What fields stand at that are younger than a step's manifest."""
    fields = TRAIN.config.model_fields.items()
    return {name: field.default for name, field in fields if not field.is_required() and field.default_factory is None}


def unfinished(folder: Path, store: Store, resolved: Resolved | None) -> Training:
    """All of a folder without one: config and ancestors come from the recipe, where there is one.

    Raises UserError when it is no training, or has not begun.
    """
    last = _last_end(folder, store.ledger)
    event = last.get("event")
    refuse_other_stage(last.get("stage", TRAIN.name), folder.name, [])
    name = str(last.get("step") or (resolved.step.name if resolved else folder.name.removesuffix(PARTIAL)))
    return Training(
        name=name,
        log=_log(folder, last),
        config=resolved.config if resolved else None,
        ancestors=_ancestors(resolved.lineage, store) if resolved else None,
        failure=Failure(str(last["reason"]), str(last["id"])) if event == "failed" else None,
        interrupted=event == "interrupted",
        running=_is_running(folder, store),
        base_precision=_base_precision(folder),
        teacher=_facts(resolved.teacher) if resolved and resolved.teacher else {},
    )


def _log(folder: Path, last: Mapping[str, Any]) -> Log:
    """Of a folder that is not finished: a training may have failed before its first step."""
    log = Log(folder / LOG, (), ()) if last.get("event") == "failed" and not has_log(folder) else read_log(folder)
    if not log.steps and last.get("event") != "failed":
        raise UserError(f"{log.path} holds no step yet{': ' + log.problem if log.problem else ''}. Train for a while.")
    return log


def _ancestors(lineage: Mapping[str, Any], store: Store) -> list[Ancestor]:
    revoked, rejected = revoked_keys(store.ledger), _rejected(store.ledger)
    return [
        Ancestor(
            step=found["step"],
            stage=found["stage"],
            key=key,
            summary=Summary.from_json(found["summary"]),
            revoked=revoked.get(key),
            rejected=rejected.get(key),
        )
        for key, found in lineage.items()
    ]


def _rejected(ledger: Ledger) -> dict[str, str]:
    """Keys that missed their gates when they were judged last, with the gates."""
    reasons: dict[str, str] = {}
    for line in ledger.lines():
        if line["event"] == "rejected":
            reasons[line["key"]] = line["reason"]
        elif line["event"] == "judged":
            reasons.pop(line["key"], None)
    return reasons


def _last_end(folder: Path, ledger: Ledger) -> Mapping[str, Any]:
    """The newest line on how this training ended; empty where there is none.

    A kill writes none, and one from before a later run went on with the training does not say how that one ended.
    """
    key = key_of(folder)
    last: Mapping[str, Any] = {}
    for line in ledger.lines():
        if line["event"] == "started" and _written_since(folder, line):
            last = {}
        elif line["event"] in ("made", "failed", "interrupted") and line.get("key") == key:
            last = line
    return last


def _is_running(folder: Path, store: Store) -> bool:
    """Whether the run that holds the store now has written to this log, and not ended the training yet."""
    started = [line for line in store.ledger.lines() if line["event"] == "started"]
    written = bool(started) and _written_since(folder, started[-1])
    return written and not _last_end(folder, store.ledger) and store.in_use()


def _written_since(folder: Path, started: Mapping[str, Any]) -> bool:
    """Whether the log was written to after a run of this store began; the ledger's times are whole seconds."""
    path = folder / LOG
    if not path.is_file():
        return False
    return moment(path.stat().st_mtime) >= str(started.get("time", ""))


def _base_precision(folder: Path) -> str | None:
    path = folder / "adapter" / BASE
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["precision"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error}). Make the adapter again.") from None


def _facts(summary: Summary) -> dict[str, Any]:
    return {**summary.facts, **{name: metric.value for name, metric in summary.metrics.items()}}


def refuse_other_stage(stage: str, name: str, trainings: Sequence[str]) -> None:
    """Raises UserError for a step that trains nothing, naming those that do."""
    if stage != TRAIN.name:
        known = f" Steps that train: {', '.join(trainings)}." if trainings else ""
        raise UserError(f"{name} is a step of the stage {stage}; only trainings can be diagnosed.{known}")
