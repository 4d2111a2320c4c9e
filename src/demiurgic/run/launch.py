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
from demiurgic.run.stage import Stage, StageConfig, written

FOLDER = "launch"
"""In the step's folder while its processes run; it goes when they are done."""
STEP = "step.json"
CONFIG_FILE = "accelerate.yaml"
OUTPUT = "output.txt"
"""What the launcher prints, and all processes but the first."""
INTERRUPT = b"i"
"""Sent through the pipe, to whichever process reads it first; they tell one another."""
GRACE_SECONDS = 3.0
"""How long the other processes may take to end when one has failed: they often fail of that, and wait for nothing."""
FOREIGN = ("ACCELERATE_", "FSDP_", "PARALLELISM_CONFIG_", "TORCHELASTIC_", "GROUP_", "ROLE_", "LOCAL_")
FOREIGN_NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launched:
    """What came out of a step that several processes ran."""

    summary: Summary
    peak_memory_bytes: int
    """Of the process that took the most."""


@dataclass(frozen=True)
class Outcome:
    """How one process ended, as it wrote it down."""

    rank: int
    ended: float
    """Seconds since 1970."""
    status: str
    """`done`, `user` (a mistake a person can mend), `interrupted` or `failed`."""
    message: str
    summary: Mapping[str, Any]
    peak_memory_bytes: int


def launcher_of(processes: int | None, *, strategy: Strategy, config_file: Path | None) -> Launcher:
    """The launcher for so many processes; without a number, as many as the config file says, or one.

    Raises UserError for a config file that asks for what is not done here, and where DeepSpeed is wanted and missing.
    """
    if config_file is not None:
        found = _read_config(config_file)
        processes = processes or int(found.get("num_processes") or 1)
    if (processes or 1) == 1:
        return Launcher(strategy=strategy, config_file=config_file)
    if strategy == "deepspeed":
        require("deepspeed")
    return Launcher("accelerate", processes or 1, strategy, config_file)


def run_launched(stage: Stage[Any], config: StageConfig, partial: Path, context: Context) -> Launched:
    """Run a stage in `partial` as the context's launcher says.

    Raises UserError for a mistake that one of the processes found, KeyboardInterrupt after Ctrl-C, and RuntimeError
    with the traceback of the process that failed first.
    """
    require("accelerate")
    folder = partial / FOLDER
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_text(folder / STEP, json.dumps(_step(stage, config, context)))
    command = _command(context.launcher, folder)
    _see_to_its_end(command, folder, context)
    launched = _judge(_outcomes(folder), folder, processes=context.launcher.processes)
    shutil.rmtree(folder)
    return launched


def _step(stage: Stage[Any], config: StageConfig, context: Context) -> dict[str, JSON]:
    """A step as the processes read it: references are folders. Raises AssertionError when it would read differently."""
    values = as_values(config)
    again = stage.config.model_validate(values, context={"resolve": resolve_unread})
    if written(again, lambda a: str(a.path)) != written(config, lambda a: str(a.path)):
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


def as_values(value: Any) -> Any:
    """A config as a recipe would hold it, in JSON; references are absolute folders."""
    from pydantic import BaseModel

    match value:
        case Artifact():
            return str(value.path.absolute())
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
    config = _read_config(launcher.config_file) if launcher.config_file is not None else {}
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


def _read_config(file: Path) -> dict[str, Any]:
    """A config file of accelerate's. Raises UserError where it asks for what is not done here."""
    from demiurgic.run.yaml_lines import parse_value

    try:
        found = parse_value(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The launch config {file} cannot be read: {error.strerror}. Check the path.") from None
    if not isinstance(found, dict):
        raise UserError(f"{file} is no config of accelerate: it holds no mapping. Make one with: accelerate config")
    if found.get("distributed_type", "MULTI_GPU") not in ("MULTI_GPU", "MULTI_CPU", "NO"):
        raise UserError(
            f"{file} has distributed_type: {found['distributed_type']}. How processes share a model is said by "
            "--strategy; set distributed_type: MULTI_GPU there."
        )
    if int(found.get("num_machines") or 1) > 1:
        raise UserError(
            f"{file} asks for {found['num_machines']} machines; a step runs on one, since its files are there. Set "
            "num_machines: 1."
        )
    return {name: value for name, value in found.items() if value is not None}


def _environment(launcher: Launcher) -> dict[str, str]:
    """The environment of this process, without what another launch may have left in it."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(FOREIGN) and name not in FOREIGN_NAMES
    }
    kept.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // launcher.processes)))
    kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return kept


def _see_to_its_end(command: Sequence[str], folder: Path, context: Context) -> None:
    """Return when all processes have ended. Ctrl-C is handed on to them; a second one ends them at once."""
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
                return
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
        if any(outcome.status != "done" for outcome in _outcomes(folder)):
            bad_since = bad_since or time.monotonic()
            if time.monotonic() - bad_since > GRACE_SECONDS:
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


def _judge(outcomes: Sequence[Outcome], folder: Path, *, processes: int) -> Launched:
    """A user's mistake comes first, since the others often fail of it; then Ctrl-C; of failures the earliest."""
    by_status = {outcome.status: outcome for outcome in reversed(outcomes)}
    if "user" in by_status:
        raise UserError(by_status["user"].message)
    if "interrupted" in by_status:
        raise KeyboardInterrupt
    if "failed" in by_status:
        failed = by_status["failed"]
        raise RuntimeError(f"process {failed.rank} of {processes} failed:\n{failed.message}")
    if len(outcomes) < processes:
        ended = {outcome.rank for outcome in outcomes}
        lost = next(rank for rank in range(processes) if rank not in ended)
        tail = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(
            f"process {lost} of {processes} ended without a word, as one does that is killed (for memory, often).\n"
            + tail
        )
    (first,) = (outcome for outcome in outcomes if outcome.rank == 0)
    return Launched(Summary.from_json(first.summary), max(outcome.peak_memory_bytes for outcome in outcomes))
