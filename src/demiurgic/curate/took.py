"""How long the phases of a curation took: processor time of all that worked on one, and time on the clock."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demiurgic.core.files.atomic import write_text
from demiurgic.curate.judge import add_seconds

CPU, WALL = "cpu_seconds.json", "wall_seconds.json"


@dataclass
class Took:
    """Seconds by phase. Filters have processor time of their own; on the clock they are all in the row pass."""

    cpu_seconds: dict[str, float] = field(default_factory=dict)
    wall_seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def wall(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        add_seconds(self.wall_seconds, {name: time.perf_counter() - started})

    @contextmanager
    def both(self, name: str) -> Iterator[None]:
        """The processor time is that of this process, all threads."""
        started = time.process_time()
        with self.wall(name):
            yield
        add_seconds(self.cpu_seconds, {name: time.process_time() - started})

    def write(self, folder: Path) -> None:
        _write(folder / CPU, self.cpu_seconds)
        _write(folder / WALL, self.wall_seconds)


def _write(path: Path, seconds: Mapping[str, float]) -> None:
    write_text(path, json.dumps({name: round(number, 3) for name, number in seconds.items()}, indent=1) + "\n")
