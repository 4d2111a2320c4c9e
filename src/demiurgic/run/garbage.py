"""What a store can spare: interrupted work, and finished steps that the newest run of no recipe refers to."""

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
    """Everything that can be deleted without costing a re-run of the newest run of any recipe."""
    partials = [(folder, "interrupted: deleting it loses the work since its start") for folder in store.partials()]
    finished = [(folder, "the newest run of no recipe uses it") for folder in unreferenced(store)]
    return [Garbage(folder, why, folder_bytes(folder)) for folder, why in partials + finished]


def collect_garbage(store: Store, spared: Sequence[Garbage]) -> None:
    """Delete what `garbage` listed. Takes the store's lock."""
    with store.locked():
        for item in spared:
            remove(item.folder)


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def unreferenced(store: Store) -> list[Path]:
    """Finished steps that the newest run of no recipe made or reused, and that nothing it used was made from."""
    newest: dict[str, str] = {}
    lines = [line for line in store.ledger.lines() if line.get("run")]
    for line in lines:
        newest[line["recipe"]] = line["run"]
    keys = {line["key"] for line in lines if line["run"] == newest[line["recipe"]] and line.get("key")}
    kept = set(keys)
    for folder in store.artifacts():
        manifest = Manifest.read(folder)
        if manifest.key in keys:
            kept |= set(manifest.lineage)
    return [folder for folder in store.artifacts() if Manifest.read(folder).key not in kept]
