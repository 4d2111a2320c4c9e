"""All that is known of one training: its log, and where there are any its config, summary, ancestors and failure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from demiurgic.core.metric import Summary
from demiurgic.diagnose.finding import NotCheckedError
from demiurgic.diagnose.log import Log, Look


@dataclass(frozen=True)
class Ancestor:
    """A step that the training was made from, however far up."""

    step: str
    stage: str
    key: str
    summary: Summary
    revoked: str | None = None
    """Why it is not to be used any more."""
    rejected: str | None = None
    """Which gates it missed when they were judged last."""


@dataclass(frozen=True)
class Failure:
    """The ledger's last word on a training that did not come to its end."""

    reason: str
    line: str
    """The id of the ledger's line."""


@dataclass(frozen=True)
class MergeOfIt:
    """A step of the recipe that merges the adapter trained here."""

    step: str
    onto: str


@dataclass(frozen=True)
class Training:
    name: str
    """Of the step, or of the folder."""
    log: Log
    config: Mapping[str, Any] | None = None
    """With defaults filled in; None where a folder stands alone."""
    summary: Summary | None = None
    """None while it is not finished."""
    ancestors: Sequence[Ancestor] | None = None
    """None where they are not known."""
    failure: Failure | None = None
    interrupted: bool = False
    running: bool = False
    """Whether it is being made at this moment: nothing is known of its end."""
    merges: Sequence[MergeOfIt] | None = None
    """None where no recipe is known."""
    base_precision: str | None = None
    """What an adapter's own `base.json` says."""
    teacher: Mapping[str, Any] = field(default_factory=dict)
    """Facts and metrics of the step that wrote a cached teacher."""

    @property
    def finished(self) -> bool:
        return self.summary is not None

    def refuse_running(self) -> None:
        """Raises NotCheckedError while there is no end to look at."""
        if self.running:
            raise NotCheckedError("it is still running")

    @property
    def settings(self) -> Mapping[str, Any]:
        """Raises NotCheckedError where the config is not known."""
        if self.config is None:
            raise NotCheckedError("the config is not known: a folder that is not finished does not hold it")
        return self.config

    @property
    def num_steps(self) -> int | None:
        """Of the whole training, as far as it can be told."""
        if self.finished:
            return self.log.last_step
        told = [line.num_steps for line in self.log.steps[-1:]] + [(self.config or {}).get("steps")]
        return next((int(steps) for steps in told if steps is not None), None)

    @property
    def peak_learning_rate(self) -> float:
        return max((line.learning_rate for line in self.log.steps), default=0.0)

    def looks(self, fewest: int) -> Sequence[Look]:
        """The looks at held-out windows. Raises NotCheckedError for fewer."""
        if len(self.log.looks) < fewest:
            found = f"{len(self.log.looks)} look{'' if len(self.log.looks) == 1 else 's'} at held-out windows"
            raise NotCheckedError(f"the log has {found}; wanted {fewest}")
        return self.log.looks

    def metric(self, name: str) -> float | None:
        found = self.summary.metrics.get(name) if self.summary else None
        return found.value if found else None
