"""Starts a step as several processes under accelerate's launcher, and sees them to one end.

The step is written down in its folder, and each process reads it there (run/rank.py). Each leaves how it ended; the
first leaves the summary. The processes share the read end of a pipe: Ctrl-C goes to them through it, and when this
process dies, in whatever way, the pipe closes and they die.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demiurgic.core.artifacts import Artifact
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import JSON, Summary
from demiurgic.core.optional import require
from demiurgic.core.registry import Choice
from demiurgic.run.context import Context, Launcher, Strategy
from demiurgic.run.engine import usable_cores
from demiurgic.run.launch_config import read_config
from demiurgic.run.stage import Stage, StageConfig, written

FOLDER = "launch"
"""In the step's folder while its processes run; it goes when they are done, however that was."""
STEP = "step.json"
CONFIG_FILE = "accelerate.yaml"
OUTPUT = "output.txt"
"""What the launcher prints, and all processes but the first."""
INTERRUPT = b"i"
"""Sent through the pipe, to whichever process reads it first; they tell one another."""
GRACE_SECONDS = 3.0
"""How long the other processes may take to end when one has failed: they often fail of that, and wait for nothing."""
STOP_SECONDS = 600.0
"""How long they may take when all have agreed to stop: the first closes what it reports to."""
FOREIGN = ("ACCELERATE_", "FSDP_", "PARALLELISM_CONFIG_", "TORCHELASTIC_")
FOREIGN_NAMES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "GROUP_WORLD_SIZE",
    "ROLE_NAME",
    "ROLE_RANK",
    "ROLE_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)
"""What another launch of accelerate's or torchrun's may have left, beside names that begin as above."""


@dataclass(frozen=True)
class Launched:
    """What came out of a step that several processes ran."""

    summary: Summary
    peak_memory_bytes: int
    """Of the process that took the most."""
    device: str
    """The first process's."""


@dataclass(frozen=True)
class Outcome:
    """How one process ended, as it wrote it down."""

    rank: int
    ended: float
    """Seconds since 1970."""
    status: str
    """`done`, `user` (a mistake a person can mend), `interrupted` (as all agreed), `alone` (interrupted where there is
    nothing they agree on) or `failed`."""
    message: str
    summary: Mapping[str, Any]
    device: str
    peak_memory_bytes: int


def launcher_of(processes: int | None, *, strategy: Strategy, config_file: Path | None) -> Launcher:
    """The launcher for so many processes; without a number, as many as the config file says, or one.

    Raises UserError for what a single process would not heed, for a config file that asks for what is not done here,
    and where DeepSpeed is wanted and missing.
    """
    if config_file is not None:
        found = read_config(config_file, strategy=strategy)
        processes = processes or found.get("num_processes")
    if (processes or 1) == 1:
        _refuse_for_one(strategy, config_file)
        return Launcher()
    if strategy == "deepspeed":
        require("deepspeed")
    return Launcher("accelerate", processes or 1, strategy, config_file)


def _refuse_for_one(strategy: Strategy, config_file: Path | None) -> None:
    if config_file is not None:
        raise UserError(
            f"The launch config {config_file} is for several processes, and there is one. Give --processes N with N of "
            "2 or more (or num_processes: N there), or leave --launch-config away."
        )
    if strategy != "ddp":
        raise UserError(
            f"--strategy {strategy} says how processes share a model, and there is one. Give --processes N with N of 2 "
            "or more, or leave --strategy away."
        )


def run_launched(stage: Stage[Any], config: StageConfig, partial: Path, context: Context) -> Launched:
    """Run a stage in `partial` as the context's launcher says.

    Raises UserError for a mistake that one of the processes found, KeyboardInterrupt after Ctrl-C, and RuntimeError
    with the traceback of the process that failed first.
    """
    require("accelerate")
    remove_leftovers(partial)
    folder = partial / FOLDER
    folder.mkdir(parents=True)
    try:
        write_text(folder / STEP, json.dumps(_step(stage, config, context)))
        command = _command(context.launcher, folder)
        interrupted = _see_to_its_end(command, folder, context)
        outcomes = _outcomes(folder)
        if interrupted:
            _say_what_failed(outcomes, context)
            raise KeyboardInterrupt
        return _judge(outcomes, folder, processes=context.launcher.processes)
    finally:
        remove_leftovers(partial)


def remove_leftovers(partial: Path) -> None:
    """Remove what a launch keeps in a step's folder, or what one left there that was killed."""
    if (partial / FOLDER).exists():
        shutil.rmtree(partial / FOLDER)


def _step(stage: Stage[Any], config: StageConfig, context: Context) -> dict[str, JSON]:
    """A step as the processes read it: references are folders. Raises AssertionError when it would read differently."""
    values = as_values(config)
    again = stage.config.model_validate(values, context={"resolve": resolve_unread})
    if written(again, _folder) != written(config, _folder):
        raise AssertionError(f"the config of {stage.name} does not read as it was written: {values}")
    return {
        "module": stage.run.__module__,
        "config": values,
        "seed": None if context.seeds is None else context.seeds.seed,
        "context": {
            "workers": context.engine.workers,
            "device": context.device,
            "quiet": context.console.quiet,
            "base": str(context.base.absolute()),
            "journal": None if context.journal is None else str(context.journal.absolute()),
            "requests_in_flight": context.requests_in_flight,
            "checkpoint_seconds": context.checkpoint_seconds,
            "processes": context.launcher.processes,
            "strategy": context.launcher.strategy,
            "trackers": list(context.trackers),
        },
    }


def _folder(artifact: Artifact) -> str:
    return str(artifact.path.absolute())


def as_values(value: Any) -> Any:
    """A config as a recipe would hold it, in JSON; references are absolute folders."""
    from pydantic import BaseModel

    match value:
        case Artifact():
            return _folder(value)
        case Choice():
            shared = as_values(value.shared) if value.shared is not None else {}
            return {"use": value.name, **shared, **as_values(value.options)}
        case BaseModel():
            fields = type(value).model_fields.items()
            return {field.alias or name: as_values(getattr(value, name)) for name, field in fields}
        case Mapping():
            return {str(name): as_values(item) for name, item in value.items()}
        case list() | tuple():
            return [as_values(item) for item in value]
        case Path():
            return str(value)
        case _:
            return value


def resolve_unread(text: str, kinds: Sequence[type[Artifact]]) -> Artifact:
    """The artifact in a part's folder, without reading its files again: the first process has verified them."""
    from demiurgic.core.artifacts import Manifest

    folder = Path(text)
    manifest = Manifest.read(folder.parent)
    kind = next(kind for kind in kinds if kind.kind == manifest.parts[folder.name].kind)
    return kind(folder, folder.name, manifest)


def _command(launcher: Launcher, folder: Path) -> list[str]:
    file = launcher.config_file
    config = read_config(file, strategy=launcher.strategy) if file is not None else {}
    plain = {"compute_environment": "LOCAL_MACHINE", "distributed_type": "MULTI_GPU", "mixed_precision": "no"}
    # one of our own in any case: without, accelerate reads what it finds in the home folder
    write_text(folder / CONFIG_FILE, json.dumps({**plain, **config, "num_processes": launcher.processes}))
    options = {
        "--config_file": str(folder / CONFIG_FILE),
        "--num_processes": str(launcher.processes),
        "--num_machines": "1",
        "--mixed_precision": "no",  # the config of the step says it
        "--dynamo_backend": "no",
    }
    if "main_process_port" not in config:
        options["--main_process_port"] = "0"  # a free one
    flat = [word for option in options.items() for word in option]
    start = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", *flat]
    return [*start, "-m", "demiurgic.run.rank", str(folder)]


def _environment(launcher: Launcher) -> dict[str, str]:
    """The environment of this process, without what another launch may have left in it."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(FOREIGN) and name not in FOREIGN_NAMES
    }
    kept.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // launcher.processes)))
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return kept


def _see_to_its_end(command: Sequence[str], folder: Path, context: Context) -> bool:
    """Return when all processes have ended: whether Ctrl-C was handed on to them. A second one ends them at once."""
    with (folder / OUTPUT).open("wb") as output:
        # the first process prints where this one does, and finds that under stdout; torchrun's stderr is a wall
        launcher = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=2,
            stderr=output,
            env=_environment(context.launcher),
            start_new_session=True,  # Ctrl-C of the terminal is for this process alone
        )
    interrupted = False
    try:
        while True:
            try:
                _wait(launcher, folder)
                return interrupted
            except KeyboardInterrupt:
                if interrupted:
                    raise
                interrupted = True
                context.console.say(
                    "Stopping after this optimizer step, with a checkpoint. Ctrl-C again stops at once."
                )
                _send(launcher, INTERRUPT)
    finally:
        _end(launcher, folder)


def _wait(launcher: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Return when the launcher has ended, or some time after one of its processes ended otherwise than well."""
    bad_since: float | None = None
    while launcher.poll() is None:
        bad = {outcome.status for outcome in _outcomes(folder)} - {"done"}
        if bad:
            bad_since = bad_since or time.monotonic()
            if time.monotonic() - bad_since > (STOP_SECONDS if bad == {"interrupted"} else GRACE_SECONDS):
                return
        time.sleep(0.05)


def _send(launcher: "subprocess.Popen[bytes]", what: bytes) -> None:
    assert launcher.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # they have just ended
        launcher.stdin.write(what)
        launcher.stdin.flush()


def _end(launcher: "subprocess.Popen[bytes]", folder: Path) -> None:
    """Leave no process behind."""
    for number in [launcher.pid, *_pids(folder)] if launcher.poll() is None else []:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    assert launcher.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        launcher.stdin.close()
    launcher.wait()


def _pids(folder: Path) -> Iterator[int]:
    for path in folder.glob("rank-*.pid"):
        with contextlib.suppress(ValueError):  # just being written
            yield int(path.read_text())


def _outcomes(folder: Path) -> list[Outcome]:
    found = [Outcome(**json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("rank-*.json")]
    return sorted(found, key=lambda outcome: outcome.ended)


def _say_what_failed(outcomes: Sequence[Outcome], context: Context) -> None:
    """After Ctrl-C, a failure that did not come of it: the last checkpoint is an older one then."""
    if outcomes and outcomes[0].status in ("user", "failed"):
        context.console.say(f"  It failed while it stopped: {outcomes[0].message.strip().splitlines()[-1]}")


def _judge(outcomes: Sequence[Outcome], folder: Path, *, processes: int) -> Launched:
    """A user's mistake comes first, since the others often fail of it; then Ctrl-C; of failures the earliest."""
    by_status = {outcome.status: outcome for outcome in reversed(outcomes)}
    if "user" in by_status:
        raise UserError(by_status["user"].message)
    if by_status.keys() & {"interrupted", "alone"}:
        raise KeyboardInterrupt
    if "failed" in by_status:
        failed = by_status["failed"]
        raise RuntimeError(f"process {failed.rank} of {processes} failed:\n{failed.message}")
    tail = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace")[-2000:]
    if not outcomes and not any(_pids(folder)):
        raise RuntimeError(f"accelerate's launcher started none of {processes} processes. It said:\n{tail}")
    if len(outcomes) < processes:
        ended = {outcome.rank for outcome in outcomes}
        lost = next(rank for rank in range(processes) if rank not in ended)
        raise RuntimeError(
            f"process {lost} of {processes} ended without a word, as one does that is killed (for memory, often).\n"
            + tail
        )
    (first,) = (outcome for outcome in outcomes if outcome.rank == 0)
    peak_bytes = max(outcome.peak_memory_bytes for outcome in outcomes)
    return Launched(Summary.from_json(first.summary), peak_bytes, first.device)
