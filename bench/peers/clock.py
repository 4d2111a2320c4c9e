"""The clock that every contender wears: seconds of each step, and peak memory above the loaded models.

It runs in the environments of peers, too, and so knows of nothing but torch and the kernel.
"""

import ctypes
import gc
import json
import sys
import time
from itertools import pairwise
from pathlib import Path


class StepClock:
    """`loaded()` once, when the models are in memory; `done()` after every optimizer step."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.cpu_times: list[float] = []
        self.losses: list[float] = []
        self.loaded_bytes = 0

    def loaded(self) -> None:
        """Start: what is in use now is the models'. Weights that are only mapped are read first, so that they count."""
        import torch

        for thing in gc.get_objects():
            if issubclass(type(thing), torch.nn.Parameter):  # `isinstance` would wake lazy modules up
                float(thing.detach().sum())
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        self.loaded_bytes = _status("VmRSS")
        self._note()

    def done(self, loss: float) -> None:
        self._note()
        self.losses.append(loss)

    def report(self) -> str:
        """One line of JSON. The first step is left out of the seconds: it makes the optimizer's state."""
        found = {
            "seconds": _between(self.times)[1:],
            "cpu_seconds": _between(self.cpu_times)[1:],
            "losses": self.losses,
            "loaded_bytes": self.loaded_bytes,
            "peak_bytes": _status("VmHWM") - self.loaded_bytes,
        }
        return json.dumps(found)

    def _note(self) -> None:
        self.times.append(time.perf_counter())
        self.cpu_times.append(time.process_time())


def _between(times: list[float]) -> list[float]:
    return [end - start for start, end in pairwise(times)]


def _status(name: str) -> int:
    """A figure of this process in bytes: VmRSS is what it holds now, VmHWM the most since the mark was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
