"""What a diagnosis says: findings with figures, changes that follow from them, and checks that could not be made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from demiurgic.core.metric import JSON

Severity = Literal["wrong", "doubtful"]
"""`wrong`: the figures leave no other reading. `doubtful`: there are trainings for which this is meant."""


@dataclass(frozen=True)
class Change:
    """A value of a recipe to set. `step` is None for the step that was diagnosed."""

    path: tuple[str | int, ...]
    """Keys and list positions inside the step."""
    value: JSON
    step: str | None = None

    @property
    def place(self) -> str:
        return ".".join(str(part) for part in self.path)

    def to_json(self, *, step: str) -> dict[str, JSON]:
        return {"step": self.step or step, "place": self.place, "value": self.value}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be."""

    symptom: str
    severity: Severity
    found: str
    """With figures and the steps they stand at."""
    why: str
    """Why it matters."""
    advice: str
    """What to change."""
    where: str
    """The file, and the lines of it, that say so."""
    changes: tuple[Change, ...] = ()

    def to_json(self, *, step: str) -> dict[str, JSON]:
        told: dict[str, JSON] = {
            name: getattr(self, name) for name in ("symptom", "severity", "found", "why", "advice", "where")
        }
        return {**told, "changes": [change.to_json(step=step) for change in self.changes]}


class NotCheckedError(Exception):
    """A symptom cannot be looked for: what it would be seen in is not there. The message says what, in a few words."""


@dataclass(frozen=True)
class Unmade:
    """A check that could not be made, and why."""

    symptom: str
    why: str


@dataclass(frozen=True)
class Diagnosis:
    """All findings, the worst first, and what they rest on."""

    findings: Sequence[Finding]
    checked: Sequence[str]
    """Names of the symptoms that were looked for."""
    unmade: Sequence[Unmade]

    @property
    def wrong(self) -> bool:
        return any(finding.severity == "wrong" for finding in self.findings)

    def changes(self) -> list[Change]:
        """Each place once: where two findings would set it, the worse one decides."""
        found: dict[tuple[str | None, tuple[str | int, ...]], Change] = {}
        for finding in self.findings:
            for change in finding.changes:
                found.setdefault((change.step, change.path), change)
        return list(found.values())
