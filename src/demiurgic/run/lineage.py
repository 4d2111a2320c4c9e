"""What came from what: ancestors in manifests, and what is revoked with everything made from it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Artifact, Manifest
from demiurgic.core.errors import UserError
from demiurgic.core.metric import JSON
from demiurgic.run.ledger import Ledger
from demiurgic.run.store import Store


def lineage_of(inputs: Iterable[Artifact]) -> dict[str, JSON]:
    """Keys and summaries of all ancestors of something made from `inputs`."""
    lineage: dict[str, JSON] = {}
    for artifact in inputs:
        manifest = artifact.manifest
        lineage |= manifest.lineage
        lineage[manifest.key] = {
            "step": manifest.step,
            "stage": manifest.stage,
            "digests": {name: part.digest for name, part in manifest.parts.items()},
            "inputs": dict(manifest.inputs),
            "summary": manifest.summary.to_json(),
        }
    return lineage


def revoked_keys(ledger: Ledger) -> dict[str, str]:
    """Keys that were revoked and not restored, with the reason."""
    reasons: dict[str, str] = {}
    for line in ledger.lines():
        if line["event"] == "revoked":
            reasons[line["key"]] = line["reason"]
        elif line["event"] == "restored":
            reasons.pop(line["key"], None)
    return reasons


def refuse_revoked(manifest: Manifest, revoked: Mapping[str, str]) -> None:
    """Raise a UserError with the reason when a step, or something it was made from, was revoked."""
    reason = revocation(manifest, revoked)
    if reason:
        raise UserError(reason)


def revocation(manifest: Manifest, revoked: Mapping[str, str]) -> str | None:
    """Why a step is unusable and how to go on, or None: it, or something it was made from, was revoked."""
    if manifest.key in revoked:
        return _advice(f"{manifest.step} was revoked", manifest.key, revoked)
    for key, ancestor in manifest.lineage.items():
        if key in revoked:
            step: Any = ancestor
            return _advice(f"{manifest.step} was made from {step['step']}, which was revoked", key, revoked)
    return None


def refuse_revoked_key(key: str, revoked: Mapping[str, str], *, step: str) -> None:
    """Raise a UserError when a step with this key was revoked, whether or not its folder is still there."""
    if key in revoked:
        raise UserError(_advice(f"{step} was revoked", key, revoked))


def _advice(what: str, key: str, revoked: Mapping[str, str]) -> str:
    return (
        f"{what}: {revoked[key]}. Change that step or what it reads, or lift the mark with "
        f"`demiurgic revoke {key} --undo`."
    )


def descendants(store: Store, key: str) -> list[Path]:
    """Finished steps that were made from the step with this key."""
    return [folder for folder in store.artifacts() if key in Manifest.read(folder).lineage]


def revoke(store: Store, name: str, *, why: str) -> list[str]:
    """Mark a finished step, and with it everything made from it, as unusable. Returns the names of all of them."""
    manifest = Manifest.read(store.named(name))
    store.ledger.append("revoked", {"step": manifest.step, "key": manifest.key, "reason": why})
    return [manifest.step, *(Manifest.read(folder).step for folder in descendants(store, manifest.key))]


def restore(store: Store, name: str) -> str:
    """Lift the mark of `revoke` from a step, by name or key; returns its name. Raises UserError when it has none."""
    revoked = revoked_keys(store.ledger)
    marks = [line for line in store.ledger.lines() if line["event"] == "revoked" and line["key"] in revoked]
    found = [line for line in marks if line["step"] == name or (len(name) >= 4 and line["key"].startswith(name))]
    if not found:
        listed = ", ".join(f"{line['step']} ({line['key']})" for line in marks) or "nothing"
        raise UserError(f"{name} is not revoked. Revoked: {listed}.")
    last = found[-1]
    store.ledger.append("restored", {"step": last["step"], "key": last["key"]})
    return str(last["step"])
