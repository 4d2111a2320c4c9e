"""What the demo costs: seconds and peak memory of each step of recipes/stdlib.yaml, from an empty store.

python bench/demo.py [--store NEW_FOLDER]
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from tables import options, show

LIMITS = {"teacher": 240, "a student": 90, "all the rest": 180, "everything": 600}
MEMORY_LIMIT_BYTES = 6e9
TRAINED = ("teacher", "student", "control", "control_seconds")


def main() -> int:
    parser = options("Seconds and peak memory of the demo, step by step.")
    parser.add_argument("--store", help="an empty folder to keep the result in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store = arguments.store or f"{temporary}/store"
        if Path(store).exists():
            sys.exit(f"{store} exists; the demo is measured from an empty store")
        command = [sys.executable, "-m", "demiurgic", "run", "stdlib", "--store", store, "--json"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        tree = TreeMemory(process.pid)
        output, _ = process.communicate()
        total = time.perf_counter() - started
        peak = tree.stop()
    if process.returncode:
        sys.exit(f"the demo ended with {process.returncode}")
    steps = json.loads(output)
    rows = [
        {"step": name, "seconds": step["seconds"], "peak MB": round(step["peak_memory_bytes"] / 1e6)}
        for name, step in steps.items()
    ]
    rest = sum(step["seconds"] for name, step in steps.items() if name not in TRAINED)
    measured = {
        "teacher": steps["teacher"]["seconds"],
        "a student": max(steps[name]["seconds"] for name in TRAINED[1:]),
        "all the rest": rest,
        "everything": total,
    }
    show(
        "The demo from an empty store",
        rows,
        as_json=arguments.json,
        limits=", ".join(f"{name} {measured[name]:.0f} s of {limit} s" for name, limit in LIMITS.items()),
        memory=f"{peak / 1e9:.2f} GB of {MEMORY_LIMIT_BYTES / 1e9:.0f} GB, all processes together",
    )
    return 0 if peak < MEMORY_LIMIT_BYTES and all(measured[name] <= limit for name, limit in LIMITS.items()) else 1


class TreeMemory:
    """Largest resident memory of a process and its children together, looked at 10 times a second.

    Pages that several processes share are counted once for each: an upper bound.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            try:
                tree = [self._root, *self._root.children(recursive=True)]
                self._peak = max(self._peak, sum(process.memory_info().rss for process in tree))
            except psutil.NoSuchProcess:
                continue


if __name__ == "__main__":
    sys.exit(main())
