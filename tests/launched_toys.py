"""A stage without torch that several processes can run: to see what becomes of each of them."""

import os
import signal
import time
from pathlib import Path
from typing import Literal, NoReturn

from demiurgic.core.artifacts import Dataset
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric, Summary
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig


class ToyConfig(StageConfig):
    """What the second process does, and the first, which works otherwise."""

    second: Literal["works", "errs", "fails", "vanishes", "waits"] = "works"
    both: Literal["work", "misunderstand", "agree"] = "work"
    data: Dataset | None = None


def run(config: ToyConfig, out: Path, context: Context) -> Summary:
    """Do as told."""
    rank = context.launcher.rank
    match config.both:
        case "misunderstand":
            misunderstand(out / f"ready-{rank}")
        case "agree":
            agree(out / f"ready-{rank}", out / "asked", closed=out / "closed" if rank == 0 else None)
    if rank == 1:
        match config.second:
            case "errs":
                raise UserError("Found 3 where 4 was wanted. Write 4.")
            case "fails":
                raise ZeroDivisionError("of the second process")
            case "vanishes":
                os._exit(9)
    if config.second != "works":
        time.sleep(60)
    (out / f"seen-{rank}").write_text(f"{config.data and config.data.path} {context.random.seed}")
    (out / "rows").mkdir(exist_ok=True)
    return Summary({"rank": Metric.exact(rank)})


def misunderstand(ready: Path) -> NoReturn:
    """What an import does that Ctrl-C cuts off."""
    ready.touch()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError("a module is missing") from None
    raise TimeoutError


def agree(ready: Path, asked: Path, *, closed: Path | None) -> NoReturn:
    """Stop together, as a training does; who has something to close takes a second for it."""
    signal.signal(signal.SIGINT, lambda number, frame: asked.touch())
    ready.touch()
    deadline = time.monotonic() + 60
    while not asked.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    if closed is not None:
        time.sleep(1)
        closed.touch()
    raise KeyboardInterrupt


STAGE = Stage("toy", ToyConfig, run, makes={"rows": Dataset}, uses_seed=True, resumable=True, launches=True)
