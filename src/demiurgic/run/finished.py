"""What a walk over a recipe finds finished: artifacts by step, whole and not revoked. Shared by runner and plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demiurgic.core.artifacts import KINDS, Artifact, Manifest, damage
from demiurgic.core.errors import UserError
from demiurgic.run.lineage import refuse_revoked, refuse_revoked_key
from demiurgic.run.recipe import Step
from demiurgic.run.stage import Reference, StageConfig, references, replaced
from demiurgic.run.store import Store


@dataclass
class Finished:
    """What is finished so far in this walk: the artifacts that later steps may read."""

    store: Store
    revoked: Mapping[str, str]
    folders: dict[str, tuple[Path, Manifest]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)

    def blocked_by(self, step: Step) -> str | None:
        return next((self.unusable[name] for name in step.depends_on if name in self.unusable), None)

    def resolved(self, config: StageConfig) -> StageConfig:
        """The config with every reference replaced by the artifact it names."""
        kinds = {str(v): v for _, v in references(config) if isinstance(v, Reference)}
        opened = {text: self._open(reference) for text, reference in kinds.items()}
        resolved: StageConfig = replaced(config, lambda value: opened[str(value)])
        return resolved

    def _open(self, reference: Reference) -> Artifact:
        folder, manifest = self.folders[reference.step]
        return KINDS[manifest.parts[reference.part].kind](folder / reference.part, reference.part, manifest)

    def reusable(self, step: Step, key: str) -> tuple[Path, Manifest] | None:
        """The finished step with this key; UserError when it is damaged or revoked."""
        refuse_revoked_key(key, self.revoked, step=step.name)
        folder = self.store.find(key)
        if folder is None:
            return None
        manifest = Manifest.read(folder)
        refuse_revoked(manifest, self.revoked)
        for name, part in manifest.parts.items():
            problem = damage(folder / name, part)
            if problem:
                raise UserError(f"{problem}. The artifact is corrupted: delete {folder} and run again to make it anew.")
        return folder, manifest
