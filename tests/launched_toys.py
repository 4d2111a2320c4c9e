"""A stage without torch that several processes can run: to see what becomes of each of them."""

import os
import time
from pathlib import Path
from typing import Literal

from demiurgic.core.artifacts import Dataset
from demiurgic.core.errors import UserError
from demiurgic.core.metric import Metric, Summary
from demiurgic.run.context import Context
from demiurgic.run.stage import Stage, StageConfig


class ToyConfig(StageConfig):
    """What the second process does; the first works in any case."""

    second: Literal["works", "errs", "fails", "vanishes", "waits"] = "works"
    data: Dataset | None = None


def run(config: ToyConfig, out: Path, context: Context) -> Summary:
    """Do as told."""
    if context.launcher.rank == 1:
        match config.second:
            case "errs":
                raise UserError("Found 3 where 4 was wanted. Write 4.")
            case "fails":
                raise ZeroDivisionError("of the second process")
            case "vanishes":
                os._exit(9)
    if config.second != "works":
        time.sleep(60)
    (out / f"seen-{context.launcher.rank}").write_text(f"{config.data and config.data.path} {context.random.seed}")
    (out / "rows").mkdir(exist_ok=True)
    return Summary({"rank": Metric.exact(context.launcher.rank)})


STAGE = Stage("toy", ToyConfig, run, makes={"rows": Dataset}, uses_seed=True, resumable=True, launches=True)
