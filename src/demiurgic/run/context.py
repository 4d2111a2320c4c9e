"""How to run: everything that changes speed, cost or noise on the screen, and never the result."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from demiurgic.core.console import Console
from demiurgic.core.seeds import Seeds
from demiurgic.run.engine import Engine

Strategy = Literal["ddp", "fsdp2", "deepspeed"]
"""How several processes share a training: a copy of the model each, a shard of it each, or a copy of the weights and a
shard of the optimizer's state (DeepSpeed's ZeRO, stage 2).
"""


@dataclass(frozen=True)
class Launcher:
    """How a step that can use several processes gets them.

    `inline` runs it in this process. `accelerate` starts `processes` of them on this machine; `config_file` is one of
    accelerate's own, for what only it knows (which GPUs, ports, threads).
    """

    kind: Literal["inline", "accelerate"] = "inline"
    processes: int = 1
    strategy: Strategy = "ddp"
    config_file: Path | None = None
    rank: int = 0
    """Which of the processes this is; the first writes."""


INLINE = Launcher()


@dataclass(frozen=True)
class Context:
    """Handed to every stage beside its config.

    `seeds` is the exception to "never the result": it is here for convenience, and enters the key of every stage that
    declares `uses_seed`; a stage that does not gets none.
    """

    engine: Engine = field(default_factory=Engine)
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, …"""
    console: Console = field(default_factory=Console)
    base: Path = field(default_factory=Path.cwd)
    """The folder that relative paths in a config start from: the recipe's."""
    journal: Path | None = None
    """The file that providers' answers are kept in; a run puts it beside its store when None."""
    requests_in_flight: int = 8
    """How many questions a provider is asked at once."""
    checkpoint_seconds: float = 30.0
    """How much work an interruption may cost: a long stage writes a checkpoint this often. A training does so less
    often where writing would take more than 1/20 of its time; 0 is after every step."""
    launcher: Launcher = INLINE
    """For stages that declare `launches`; all others run in this process."""
    trackers: tuple[str, ...] = ()
    """Services that a training's log also goes to, by name (`tensorboard`, `wandb`, `trackio`)."""
    seeds: Seeds | None = None

    def for_step(self, *, seed: int | None) -> "Context":
        return replace(self, seeds=None if seed is None else Seeds(seed))

    @property
    def random(self) -> Seeds:
        """The random streams of a stage that declares `uses_seed`."""
        if self.seeds is None:
            raise AssertionError("this stage reads random streams and does not declare uses_seed")
        return self.seeds


def journal_beside(folder: Path) -> Path:
    """Where the answers asked for while `folder` is made are kept: outside of it, for they outlive it."""
    folder = folder.absolute()  # "." has no name
    return folder.with_name(f"{folder.name}-journal.sqlite")
