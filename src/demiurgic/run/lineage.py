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


def revocation(manifest: Manifest, revoked: Mapping[str, str]) -> str | None:
    """Why a step is unusable: it, or something it was made from, was revoked. None when nothing was."""
    if manifest.key in revoked:
        return f"{manifest.step} was revoked: {revoked[manifest.key]}"
    for key, ancestor in manifest.lineage.items():
        if key in revoked:
            step: Any = ancestor
            return f"{manifest.step} was made from {step['step']}, which was revoked: {revoked[key]}"
    return None


def descendants(store: Store, key: str) -> list[Path]:
    """Finished steps that were made from the step with this key."""
    return [folder for folder in store.artifacts() if key in Manifest.read(folder).lineage]


def revoke(store: Store, name: str, *, why: str) -> list[str]:
    """Mark a finished step, and with it everything made from it, as unusable. Returns the names of all of them."""
    manifest = Manifest.read(store.named(name))
    store.ledger.append("revoked", {"step": manifest.step, "key": manifest.key, "reason": why})
    return [manifest.step, *(Manifest.read(folder).step for folder in descendants(store, manifest.key))]


def restore(store: Store, name: str) -> str:
    """Lift the mark of `revoke`; returns the step's name. Raises UserError when it has none."""
    manifest = Manifest.read(store.named(name))
    if manifest.key not in revoked_keys(store.ledger):
        raise UserError(f"{manifest.step} ({manifest.key}) is not revoked.")
    store.ledger.append("restored", {"step": manifest.step, "key": manifest.key})
    return manifest.step
