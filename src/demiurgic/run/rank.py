"""One of the processes of a step that several run: reads the step, runs it, and leaves how it ended.

`python -m demiurgic.run.rank FOLDER`, started by accelerate's launcher alone (run/launch.py). Finds the stage by the
module of its `run` function, so that this floor imports nothing above it.
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from demiurgic.core.console import Console
from demiurgic.core.errors import UserError
from demiurgic.core.files.atomic import write_text
from demiurgic.core.metric import Summary
from demiurgic.core.seeds import Seeds
from demiurgic.run.context import Context, Launcher
from demiurgic.run.engine import Engine
from demiurgic.run.launch import INTERRUPT, STEP, resolve_unread
from demiurgic.run.step import PeakMemory, device_name


def main(folder: Path) -> None:
    """Run the step that `folder` describes, in the folder that holds it, as process RANK of WORLD_SIZE."""
    rank = int(os.environ["RANK"])
    _print_where_the_parent_does(rank)
    write_text(folder / f"rank-{rank}.pid", str(os.getpid()))
    memory = PeakMemory()
    summary = Summary()
    status, message = "done", ""
    interrupt = _Interrupt()
    try:
        try:
            # by hand, since a shell that starts a program in the background has it ignore Ctrl-C
            signal.signal(signal.SIGINT, interrupt)
            threading.Thread(target=_heed_the_parent, daemon=True).start()
            summary = _run(folder, rank)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # from here on it is written down how this process ended
    except BaseException as error:  # whatever it is: written down, for the parent to raise
        status = _status(error, alone=interrupt.raised)
        message = {"user": str(error), "failed": traceback.format_exc()}.get(status, "")
    outcome = {
        "rank": rank,
        "ended": time.time(),
        "status": status,
        "message": message,
        "summary": summary.to_json(),
        "device": device_name(),
        "peak_memory_bytes": memory.peak_bytes(),
    }
    write_text(folder / f"rank-{rank}.json", json.dumps(outcome))
    _leave(together=status == "done")


class _Interrupt:
    """What Ctrl-C does while a stage has no handler of its own; `raised` says whether it came to that."""

    def __init__(self) -> None:
        self.raised = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
        raise KeyboardInterrupt


def _status(error: BaseException, *, alone: bool) -> str:
    """What an exception is to the parent. Whatever comes after an interrupt came of it: an import that is interrupted
    may say that a module is missing.
    """
    if alone:
        return "alone"
    match error:
        case UserError():
            return "user"
        case KeyboardInterrupt():
            return "interrupted"
        case _:
            return "failed"


def _run(folder: Path, rank: int) -> Summary:
    step = json.loads((folder / STEP).read_text(encoding="utf-8"))
    stage = importlib.import_module(step["module"]).STAGE
    config = stage.config.model_validate(step["config"], context={"resolve": resolve_unread})
    summary: Summary = stage.run(config, folder.parent, _context(step, rank))
    return summary


def _context(step: dict[str, Any], rank: int) -> Context:
    told = step["context"]
    return Context(
        engine=Engine(told["workers"]),
        device=told["device"],
        console=Console(quiet=told["quiet"] or rank != 0),
        base=Path(told["base"]),
        journal=None if told["journal"] is None else Path(told["journal"]),
        requests_in_flight=told["requests_in_flight"],
        checkpoint_seconds=told["checkpoint_seconds"],
        launcher=Launcher("accelerate", told["processes"], told["strategy"], rank=rank),
        trackers=tuple(told["trackers"]),
        seeds=None if step["seed"] is None else Seeds(step["seed"]),
    )


def _print_where_the_parent_does(rank: int) -> None:
    """The first process has what the parent calls stderr under stdout; the others print to the launcher's file."""
    if rank == 0:
        os.dup2(1, 2)
    else:
        os.dup2(2, 1)


def _heed_the_parent() -> None:
    """Ctrl-C comes through the pipe; its end is the parent's death, or its wish."""
    while True:
        word = os.read(0, 1)
        if not word:
            os._exit(1)
        if word == INTERRUPT:
            os.kill(os.getpid(), signal.SIGINT)  # a real one, which also wakes a process that waits


def _leave(*, together: bool) -> None:
    """End this process, without the other ones where something went wrong: they may wait for one another forever."""
    torch = sys.modules.get("torch")
    if together and torch is not None and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # how it ended is written down; a launcher that sees success prints nothing


if __name__ == "__main__":
    main(Path(sys.argv[1]))
