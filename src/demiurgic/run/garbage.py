"""What a store can spare: interrupted work, and finished steps that no recipe refers to any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demiurgic.core.artifacts import Manifest
from demiurgic.run.store import Store, remove


@dataclass(frozen=True)
class Garbage:
    """One folder the store can spare, why, and how large it is."""

    folder: Path
    why: str
    size_bytes: int


def garbage(store: Store) -> list[Garbage]:
    """Everything that can be deleted without costing a re-run of any recipe as it was last run."""
    partials = [(folder, "interrupted: deleting it loses the work since its start") for folder in store.partials()]
    half = [(folder, "half deleted") for folder in store.half_deleted()]
    finished = [(folder, "no recipe, as last run, uses it") for folder in unreferenced(store)]
    return [Garbage(folder, why, folder_bytes(folder)) for folder, why in partials + half + finished]


def collect_garbage(store: Store, listed: Sequence[Garbage]) -> list[Garbage]:
    """Delete what was listed and is garbage still, now that the store is locked; returns what was deleted."""
    with store.locked():
        still = {item.folder for item in garbage(store)}
        deleted = [item for item in listed if item.folder in still]
        for item in deleted:
            remove(item.folder)
    return deleted


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def unreferenced(store: Store) -> list[Path]:
    """Finished steps that no recipe refers to, nor any step it refers to was made from.

    A recipe refers to the newest result of each step it had when it was last started, whether or not that run came
    as far as the step.
    """
    steps: dict[tuple[str, str], list[str]] = {}
    newest: dict[tuple[str, str, str], str] = {}
    for line in store.ledger.lines():
        if line["event"] == "started":
            steps[line["recipe"], line["file"]] = line["steps"]
        elif line["event"] in ("made", "reused"):
            newest[line["recipe"], line["file"], line["step"]] = line["key"]
    # A run whose first line a crash cut off keeps all it has.
    kept = {key for (recipe, file, step), key in newest.items() if step in steps.get((recipe, file), [step])}
    manifests = {folder: Manifest.read(folder) for folder in store.artifacts()}
    for manifest in [manifest for manifest in manifests.values() if manifest.key in kept]:
        kept |= set(manifest.lineage)
    return [folder for folder, manifest in manifests.items() if manifest.key not in kept]
